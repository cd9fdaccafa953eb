use super::*;

const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \0\r\n--not the end\r\n";

fn field(name: &str, value: &str) -> Vec<u8> {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
}

fn file(disposition: &str, media_type: &str, content: &[u8]) -> Vec<u8> {
    let head =
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {media_type}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn read(parts: &[Vec<u8>]) -> Result<Form, FormError> {
    let body = [parts.concat(), b"--b--\r\nepilogue".to_vec()].concat();
    // However it is cut.
    let least = body.len() / 1000 + 1;
    for size in [3 * least, 7 * least, 50 * least] {
        let cut: Vec<Bytes> = body.chunks(size).map(Bytes::copy_from_slice).collect();
        let (cut, whole) =
            (Form::read(&cut, "b", Upload::Audio), Form::read(&[body.clone().into()], "b", Upload::Audio));
        let told = |form: Result<Form, FormError>| match form {
            Ok(form) => Ok(form.write("x").map(|(pieces, _)| pieces.concat())),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(told(cut), told(whole));
    }
    Form::read(&[body.into()], "b", Upload::Audio)
}

fn wav() -> Vec<u8> {
    file("name=\"file\"; filename=\"C:\\dir\\a\\\"b.wav\"", "audio/wav", WAV)
}

#[test]
fn a_form_is_written_anew_with_what_was_checked() {
    let form = read(&[wav(), field("prompt", "Hi"), field("model", "whisper")]).unwrap();
    let (pieces, peek) = form.write("x-1").unwrap();
    let whole = pieces.concat();
    let text = String::from_utf8_lossy(&whole);
    assert!(text.starts_with(
        "--x-1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF"
    ), "{text}");
    assert!(!text.contains("dir") && !text.contains("a_b"), "{text}");
    assert!(text.ends_with("name=\"model\"\r\n\r\nwhisper\r\n--x-1--\r\n"), "{text}");
    assert!(memchr::memmem::find(&whole, WAV).is_some());
    assert_eq!((peek.model(false), peek.prompt_at_most()), (Some("whisper"), 2));
    // Another model stands in its place as it is, without quotes.
    let mut edits = crate::api::Edits::default();
    let changes = crate::api::peek::Changes { model: Some("w2"), ..Default::default() };
    let (route, _) = crate::api::route::find("/v1/audio/transcriptions").unwrap();
    let crate::api::route::Action::Forward(forward) = route.action else { panic!("not forwarded") };
    peek.write(&forward, &changes, &mut edits);
    assert!(edits.apply(&pieces).concat().ends_with(b"\r\n\r\nw2\r\n--x-1--\r\n"));
}

#[test]
fn texts_are_searched_as_those_of_a_prompt() {
    let repeated = |text| field("timestamp_granularities[]", text);
    let mut form = read(&[
        field("model", "m"),
        field("prompt", "a \"b\"\n"),
        repeated("word"),
        repeated("segment"),
        wav(),
    ])
    .unwrap();
    assert_eq!(
        form.texts(),
        r#"{"prompt":"a \"b\"\n","timestamp_granularities[]":"word","timestamp_granularities[]":"segment"}"#
    );
    assert!(form.replace_texts(br#"{"prompt":"c","x":"d","y":"e"}"#));
    let text = String::from_utf8_lossy(&form.write("x").unwrap().0.concat()).into_owned();
    assert!(text.contains("\r\n\r\nc\r\n--x") && text.contains("\r\n\r\ne\r\n--x"), "{text}");
    assert!(!form.replace_texts(br#"{"prompt":"c","x":"d","y":"e","z":"f"}"#));
}

#[test]
fn what_two_readers_might_take_differently_is_refused() {
    for (parts, says) in [
        (vec![field("model", "a"), field("model", "b")], "repeated"),
        (vec![field("Model", "a")], "miscased"),
        (vec![field("model[]", "a")], "must be a text"),
        (vec![file("name=\"model\"; filename=\"m\"", "", WAV)], "must be a text"),
        (vec![field("extra_body", "{}")], "not passed on"),
        (vec![field("a\u{1}", "b")], "needs a name"),
        (vec![field(&"n".repeat(65), "b")], "needs a name"),
        (vec![field("a", &"x".repeat(TEXT + 1))], "longer than"),
        (vec![file("name=\"file\"; name=\"x\"; filename=\"a.wav\"", "", WAV)], "twice"),
        (vec![file("name=\"file\"; filename=\"a.wav", "", WAV)], "does not end"),
        (vec![file(&format!("name=\"file\"; filename=\"{}\"", "a".repeat(256)), "", WAV)], "longer than 255"),
        (
            vec![file("name=\"file\"; filename=\"a.png\"", "image/png", WAV)],
            "declared as image/png, but is WAV",
        ),
        (
            vec![file("name=\"file\"; filename=\"a.mp3\"", "application/octet-stream", WAV)],
            "declared as '.mp3'",
        ),
        (vec![file("name=\"file\"; filename=\"a.wav\"", "audio/wav", b"MZ\x90\0")], "none of WAV"),
        (vec![file("name=\"file\"; filename=\"a.wav\"", "audio/wav", b"\x89PNG\r\n\x1a\n")], "none of WAV"),
        (vec![file("name=\"a\"", "", b"\xff\xfe")], "not UTF-8"),
        (vec![b"--b\r\nContent-Type: x\r\n\r\n\r\n".to_vec()], "no Content-Disposition"),
        (vec![b"x\r\n".to_vec()], "begin with its boundary"),
        (vec![b"--bb\r\n".to_vec()], "end of its line"),
        ((0..=PARTS).map(|n| field(&format!("f{n}"), "")).collect(), "more than 64 parts"),
    ] {
        let error = read(&parts).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    assert!(
        Form::read(
            &[Bytes::from_static(b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx")],
            "b",
            Upload::Audio
        )
        .is_err()
    );
}

#[test]
fn boundaries_are_those_of_forms() {
    for (of, boundary) in [
        ("multipart/form-data; boundary=x", Some("x")),
        ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; boundary=a\"b", None),
        ("multipart/mixed; boundary=x", None),
        ("application/json", None),
    ] {
        assert_eq!(super::boundary(of).ok().as_deref(), boundary, "{of}");
    }
}
