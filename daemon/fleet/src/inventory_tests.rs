use super::{known_version, read_openai, read_ps, read_tags, read_version, via, without_circles};

#[test]
fn reads_proper_answers_whatever_else_they_carry() {
    assert_eq!(&*read_version(br#"{"version":"0.14.0","x":1}"#).unwrap(), "0.14.0");
    let tags =
        br#"{"models":[{"name":"m:latest","size":5,"details":null,"new":{"a":[1]}},{"model":"n:8b"}]}"#;
    let models = read_tags(tags).unwrap();
    assert_eq!((&*models[0].name, models[0].facts.size, &*models[1].name), ("m:latest", Some(5), "n:8b"));
    assert!(read_tags(br#"{"models":null}"#).unwrap().is_empty());
    let llama_cpp =
        br#"{"models":[{"name":"x"}],"object":"list","data":[{"id":"/srv/x.gguf","meta":{"n":1}}]}"#;
    assert_eq!(&*read_openai(llama_cpp).unwrap()[0].name, "/srv/x.gguf");
    assert_eq!(read_ps(br#"{"models":[{"name":"m","size_vram":7}]}"#).unwrap()[0].facts.size_vram, Some(7));
}

#[test]
fn what_a_gateway_has_from_here_is_not_there() {
    let tags = |of: &str| {
        let mut models = read_tags(format!(r#"{{"models":[{of}]}}"#).as_bytes()).unwrap();
        without_circles(&mut models, Some("aivonx-b"));
        models.iter().map(|model| model.raw.get().to_owned()).collect::<Vec<_>>().join(",")
    };
    assert_eq!(tags(r#"{"name":"m" }"#), r#"{"name":"m","aivonx_gateways":["aivonx-b"]}"#);
    let behind = r#"{"aivonx_gateways":["aivonx-c"],"name":"m"}"#;
    assert_eq!(tags(behind), r#"{"aivonx_gateways":["aivonx-c","aivonx-b"],"name":"m"}"#);
    let ours = behind.replace("aivonx-c", via::pseudonym());
    assert_eq!(tags(&format!(r#"{ours},{{"name":"n","aivonx_gateways":7}}"#)).matches("name").count(), 1);
    let odd = r#"{"name":"m","aivonx_gateways":null,"max":1e999,"a":1,"a":2}"#;
    assert_eq!(tags(odd), r#"{"a":2,"aivonx_gateways":["aivonx-b"],"max":1e999,"name":"m"}"#);
    let mixed = r#"{"name":"m","aivonx_gateways":[7,["x"],"aivonx-c"]}"#;
    assert_eq!(tags(mixed), r#"{"aivonx_gateways":["aivonx-c","aivonx-b"],"name":"m"}"#);
    let many = format!(r#"{{"name":"m","aivonx_gateways":{}}}"#, serde_json::json!(vec!["aivonx-d"; 16]));
    assert_eq!(tags(&many), "");
    let mut models = read_tags(format!(r#"{{"models":[{ours},{{"name":"n"}}]}}"#).as_bytes()).unwrap();
    without_circles(&mut models, None);
    assert_eq!(models.iter().map(|model| model.raw.get()).collect::<String>(), r#"{"name":"n"}"#);
}

#[test]
fn what_is_not_quite_json_is_read_all_the_same() {
    for body in [
        "\u{feff}{\"data\":[{\"id\":\"m\"}]}",
        r#"{"data":[{"id":"m","score":NaN,"max":Infinity,"min":-Infinity,"text":"NaN \"NaN\\"}]}"#,
        r#"{"data":[{"id":"x","id":"m"}]}"#,
        r#"{"data":[],"data":[{"id":"m"}]}"#,
        r#"{"data":7,"data":[{"id":"m","id":"m","score":NaN}]}"#,
        "\u{feff}[{\"id\":\"m\",\"score\":NaN}]",
    ] {
        let models = read_openai(body.as_bytes()).unwrap();
        let names: Vec<&str> = models.iter().map(|model| &*model.name).collect();
        assert_eq!(names, ["m"], "{body}");
        let raw: serde_json::Value = serde_json::from_str(models[0].raw.get()).unwrap();
        let text = raw.get("text").and_then(serde_json::Value::as_str);
        assert!(text.is_none_or(|text| text == "NaN \"NaN\\"), "{raw}");
    }
    assert_eq!(
        &*read_version("\u{feff}{\"version\":\"0\",\"version\":\"0.9.1\"}".as_bytes()).unwrap(),
        "0.9.1"
    );
    for body in ["NaN", "{\"data\":NaNNaN}", "{\"data\":[NaN"] {
        assert!(read_openai(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn an_odd_field_or_entry_costs_nothing_else() {
    for odd in [
        r#""size":65.3"#,
        r#""size":"4.7 GB""#,
        r#""size":-1"#,
        r#""size":null"#,
        r#""size":1e999"#,
        r#""details":{"family":"x","family":1e999},"max":1e999"#,
        r#""details":"8B""#,
        r#""details":{"family":7,"quantization_level":["Q4"]}"#,
        r#""modified_at":1700000000"#,
        r#""digest":7"#,
        r#""remote_host":{}"#,
        r#""model":false"#,
    ] {
        let entry = format!(r#"{{"id":"m","object":"model",{odd}}}"#);
        let models = read_openai(format!(r#"{{"data":[{entry}]}}"#).as_bytes()).unwrap();
        assert_eq!((&*models[0].name, models[0].raw.get()), ("m", &*entry));
        let tags = format!(r#"{{"models":[{{"name":"m:latest",{odd}}}]}}"#);
        assert_eq!(&*read_tags(tags.as_bytes()).unwrap()[0].name, "m:latest", "{odd}");
    }
    for odd in [r#"{"object":"model"}"#, r#"{"id":""}"#, "7", "null", "[]", r#""m""#] {
        let models = read_openai(format!(r#"{{"data":[{odd},{{"id":"m"}}]}}"#).as_bytes()).unwrap();
        assert_eq!((models.len(), &*models[0].name), (1, "m"), "{odd}");
        let ps = format!(r#"{{"models":[{odd},{{"name":"m","size_vram":"all"}}]}}"#);
        let loaded = read_ps(ps.as_bytes()).unwrap();
        assert_eq!((loaded.len(), loaded[0].facts.size_vram), (1, None), "{odd}");
    }
}

#[test]
fn clients_find_the_name_where_they_look_for_it() {
    let [tags, ps] = [r#"{"models":[{"model":"m","name":7}]}"#, r#"{"models":[{"model":"m"}]}"#];
    let shown = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).unwrap();
    assert_eq!(shown(read_tags(tags.as_bytes()).unwrap()[0].raw.get())["name"], "m");
    assert_eq!(shown(read_ps(ps.as_bytes()).unwrap()[0].raw.get())["name"], "m");
    let models = read_openai(br#"{"data":[{"name":"m"}]}"#).unwrap();
    assert_eq!(shown(models[0].raw.get())["id"], "m");
    let models = read_openai(br#"{"data":[{"name":"m","max":1e999}]}"#).unwrap();
    assert_eq!(models[0].raw.get(), r#"{"id":"m","max":1e999,"name":"m"}"#);
}

#[test]
fn openai_servers_are_asked_by_id() {
    let named = br#"{"data":[{"id":"qwen3-8b","name":"Qwen 3 (8B)","model":"x"}]}"#;
    assert_eq!(&*read_openai(named).unwrap()[0].name, "qwen3-8b");
    assert_eq!(&*read_openai(br#"[{"id":"m"}]"#).unwrap()[0].name, "m");
    assert!(read_openai(br#"{"data":null}"#).unwrap().is_empty());
}

#[test]
fn builds_without_a_version_are_of_an_unknown_one() {
    assert_eq!(known_version("0.0.0"), None);
    assert_eq!(known_version("0.0.0-dev+abc"), None);
    assert_eq!(known_version("0.14.1-rc2-3-gabcdef-dirty"), Some((0, 14, 1)));
    assert_eq!(known_version("v0.15.0"), Some((0, 15, 0)));
}

#[test]
fn says_what_is_wrong_with_others() {
    assert!(read_version(b"<!doctype html>").unwrap_err().contains("HTML"));
    assert!(read_version(br#"{"version":7}"#).is_err());
    assert!(read_version(br#"{"version":""}"#).is_err());
    assert!(read_tags(br#"{"models":[{"size":1}]}"#).unwrap_err().contains("no name"));
    assert!(read_tags(br#"{"models":["m"]}"#).unwrap_err().contains("no object"));
    assert!(read_tags(br#"[]"#).is_err());
    assert!(read_openai(br#"{"models":[]}"#).is_err());
}
