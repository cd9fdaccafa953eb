//! Every screen, with next to nothing to show.

use aivonx_tests::harness::Daemon;

use super::{console, ends_well};

#[tokio::test]
async fn every_screen_shows_something() {
    let daemon = Daemon::builder().start_any().await;
    let mut console = console(&daemon, 120, 40);
    for (key, shown) in [
        ("3", "There is no model"),
        ("4", "Nothing goes on"),
        ("5", "There is no organization"),
        ("6", "Nothing was used in this time"),
        ("7", "Log, following"),
        ("8", "chain_start"),
        ("9", "Nothing is running"),
        ("0", "nobody is locked out"),
        ("1", "gateway"),
    ] {
        console.keys(key);
        console.until(&[&format!("[{key} "), shown]).await;
    }
    // However fast the size changes, the last one is drawn.
    for columns in 61..100 {
        console.resize(columns, 20);
    }
    console.resize(60, 15);
    console.until(&["[1 Overview]", "quit"]).await;
    console.keys(":q\r");
    ends_well(console).await;
}
