//! How well it finds what it should and leaves what it should, on texts made for it.

use aivonx_protocol::privacy::Category;

use crate::privacy::{
    Wanted,
    find::{Found, Hint, find},
};

const CORPUS: &str = include_str!("corpus.txt");

/// A line without its marks, and what was marked.
fn parse(line: &str) -> (String, Vec<Found>) {
    let mut text = String::new();
    let mut wanted = Vec::new();
    let mut rest = line;
    while let Some((before, marked)) = rest.split_once("{{") {
        text.push_str(before);
        let (marked, after) = marked.split_once("}}").unwrap();
        let (category, found) = marked.split_once('|').unwrap();
        let category = Category::ALL.into_iter().find(|c| c.name() == category).unwrap();
        wanted.push(Found::new(text.len(), text.len() + found.len(), category));
        text.push_str(found);
        rest = after;
    }
    text.push_str(rest);
    (text, wanted)
}

#[test]
fn the_corpus_is_found() {
    let mut found = Vec::new();
    // Right, wrong, missed.
    let mut counts = [[0u32; 3]; Category::ALL.len()];
    for line in CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (text, wanted) = parse(&line.replace('¦', ""));
        found.clear();
        find(text.as_bytes(), Wanted::ALL, Hint::default(), &mut found);
        for f in &found {
            let right = wanted.contains(f);
            counts[f.category as usize][usize::from(!right)] += 1;
            if !right {
                println!("wrong  {} {:?} in {line}", f.category, &text[f.start..f.end]);
            }
        }
        for w in wanted.iter().filter(|w| !found.contains(w)) {
            counts[w.category as usize][2] += 1;
            println!("missed {} {:?} in {line}", w.category, &text[w.start..w.end]);
        }
    }
    let ratio = |part: u32, rest: u32| f64::from(part) / f64::from((part + rest).max(1));
    println!("category   right  wrong missed precision  recall");
    let mut all = [0; 3];
    for category in Category::USUAL {
        let [right, wrong, missed] = counts[category as usize];
        let (precision, recall) = (ratio(right, wrong), ratio(right, missed));
        println!("{category:<8} {right:>7} {wrong:>6} {missed:>6} {precision:>9.3} {recall:>7.3}");
        all = [all[0] + right, all[1] + wrong, all[2] + missed];
        assert!(precision >= 0.95 && recall >= 0.95, "{category}: precision {precision}, recall {recall}");
    }
    let (precision, recall) = (ratio(all[0], all[1]), ratio(all[0], all[2]));
    println!("all      {:>7} {:>6} {:>6} {precision:>9.3} {recall:>7.3}", all[0], all[1], all[2]);
    assert!(precision >= 0.98 && recall >= 0.98);
}

#[test]
fn blocks_of_pem_go_whole() {
    let block = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow123/+=\nabc\n-----END RSA PRIVATE KEY-----";
    let found = |text: &str| {
        let mut found = Vec::new();
        find(text.as_bytes(), Wanted::ALL, Hint::default(), &mut found);
        found.iter().map(|f| text[f.start..f.end].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(&format!("here: {block} and more")), [block]);
    assert_eq!(found(&format!("{block}\n{block}")), [block, block]);
    let cut = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC";
    assert_eq!(found(&format!("{cut} ...")), [cut]);
    assert!(found("a file that begins with -----BEGIN PRIVATE KEY----- is one, they say").is_empty());
}

#[test]
fn only_what_is_wanted_is_found() {
    let text = b"bob@example.com 555-123-4567 123-45-6789 4111111111111111 sk-1234567890abcdefghij1";
    for category in Category::USUAL {
        let mut found = Vec::new();
        find(text, Wanted::from([category].as_slice()), Hint::default(), &mut found);
        assert_eq!(found.iter().map(|f| f.category).collect::<Vec<_>>(), [category]);
    }
}
