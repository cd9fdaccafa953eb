//! The routes in mdoc, for aivonx-api(7): `man/build.sh` asks for them with the hidden command `manual`, so that the page
//! is made from the table that requests are routed by.

use std::fmt::Write as _;

use aivonx_gateway::endpoints::{account, own_usage};
use aivonx_protocol::key::KeyScope;
use aivonx_wire::{
    api::{
        Dialect,
        route::{Action, Forward, Need, ROUTES, Route, Stream},
    },
    translate::Api,
};

/// The sections about the routes.
#[must_use]
pub(crate) fn sections() -> String {
    type Of = fn(&Route) -> bool;
    let sections: [(&str, Of); 5] = [
        ("Ollama", |r| data(r) && r.dialect == Dialect::Ollama),
        ("OpenAI", |r| data(r) && r.dialect == Dialect::Openai),
        ("Anthropic", |r| data(r) && r.dialect == Dialect::Anthropic),
        ("The own account", |r| matches!(r.action, Action::Account(_) | Action::OwnUsage)),
        ("Not served", |r| matches!(r.action, Action::Never(_))),
    ];
    let mut page = String::new();
    for (title, of) in sections {
        let _ = writeln!(page, ".Ss {title}\n.Bl -tag -width Ds");
        ROUTES.iter().filter(|route| of(route)).for_each(|route| entry(&mut page, route));
        page += ".El\n";
    }
    page
}

/// Whether it is about models, or about the gateway's state.
fn data(route: &Route) -> bool {
    !matches!(route.action, Action::Account(_) | Action::OwnUsage | Action::Never(_))
}

fn entry(page: &mut String, route: &Route) {
    let methods: Vec<&str> = route.methods.iter().map(|method| method.as_str()).collect();
    let _ = writeln!(page, ".It Li {} {}", methods.join("|"), route.pattern);
    text(page, route.about);
    text(page, needs(route.need()));
    match route.action {
        Action::Forward(forward) => served(page, &forward),
        Action::Account(what) => {
            if let Some(form) = account::form(what) {
                let lines = form.replace("}, or {", "}\n{").replace("}, ", "}\n").replace("}; ", "}\n");
                let _ = writeln!(page, "The body:\n.Bd -literal -offset indent -compact\n{lines}\n.Ed");
            }
        }
        Action::OwnUsage => text(page, &format!("As for the request, {}.", own_usage::PARAMETERS)),
        Action::Local(_)
        | Action::Pull
        | Action::Delete
        | Action::Response
        | Action::Copy
        | Action::Create
        | Action::Push
        | Action::Blob
        | Action::Never(_) => {}
    }
}

fn needs(need: Need) -> &'static str {
    match need {
        Need::Nothing => "Needs no key.",
        Need::Scope(KeyScope::Infer) => "Needs the scope `infer`.",
        Need::Scope(KeyScope::ModelsRead) => "Needs the scope `models:read`, which `infer` implies.",
        Need::Scope(KeyScope::ModelsWrite) => "Needs the scope `models:write`.",
        Need::Scope(KeyScope::AdminRead) => {
            "Needs the scope `admin:read`, or a listener that is marked for diagnostics."
        }
        Need::Scope(KeyScope::NodesChoose) => "Needs the scope `nodes:choose`.",
        Need::User => "Needs an access token.",
        Need::UserOrBody => "Needs an access token, or a refresh token in the body.",
    }
}

fn served(page: &mut String, forward: &Forward) {
    let ollama = match forward.ollama {
        None => None,
        Some((0, 0, 0)) => Some("Ollama".to_owned()),
        Some((major, minor, patch)) => Some(format!("Ollama from {major}.{minor}.{patch} on")),
    };
    let kinds: Vec<String> =
        ollama.into_iter().chain(forward.openai.then(|| "`openai`".to_owned())).collect();
    text(page, &format!("Nodes that serve it: {}.", kinds.join(", ")));
    if Api::of(forward.path).is_some() {
        page.push_str("Others are asked in their own API, see\n.Sx TRANSLATION .\n");
    }
    let form = match forward.stream {
        Stream::Never => return,
        Stream::Ndjson => "a line of JSON each",
        Stream::Done | Stream::Responses | Stream::Messages => "server-sent events",
    };
    let default =
        if forward.stream_default == Some(true) { "unless `stream` is false" } else { "if `stream` is true" };
    text(page, &format!("Streams {default}, {form}."));
}

/// A sentence; what stands between backquotes is a literal, on whose line the punctuation behind it belongs.
fn text(page: &mut String, sentence: &str) {
    const MARKS: [char; 4] = [',', '.', ';', ':'];
    let parts: Vec<&str> = sentence.split('`').collect();
    for (at, part) in parts.iter().enumerate() {
        if at % 2 == 1 {
            let mark = parts.get(at + 1).and_then(|next| next.chars().next()).filter(|c| MARKS.contains(c));
            let mark = mark.map(|mark| format!(" {mark}")).unwrap_or_default();
            let _ = writeln!(page, ".Ql {}{mark}", quoted(part));
        } else {
            let rest = part.strip_prefix(MARKS).filter(|_| at > 0).unwrap_or(part).trim();
            if !rest.is_empty() {
                let _ = writeln!(page, "{rest}");
            }
        }
    }
}

/// As an argument of a macro.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\e").replace('"', "\\(dq"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_on_the_page_once_and_says_what_it_is_for() {
        let page = sections();
        for route in ROUTES {
            let line = format!(" {}\n", route.pattern);
            assert_eq!(page.matches(&line).count(), 1, "{}", route.pattern);
            assert!(route.about.ends_with('.'), "{}: {}", route.pattern, route.about);
        }
        assert!(page.contains("\n{\"refresh\":\"...\"}\n.Ed"), "{page}");
    }

    #[test]
    fn literals_have_lines_of_their_own() {
        let mut page = String::new();
        text(&mut page, "Needs `a`, which `b` implies.");
        assert_eq!(page, "Needs\n.Ql \"a\" ,\nwhich\n.Ql \"b\"\nimplies.\n");
    }
}
