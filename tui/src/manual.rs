//! The verbs and options of the command line in mdoc, for aivonx(1). `man/build.sh` asks for them with the hidden
//! verb `manual`, so that the page is made from what the program accepts.

use clap::{Arg, ArgAction, Command};

/// The sections "Commands" and "Global options" of the page.
#[must_use]
pub fn sections(root: &Command) -> String {
    let mut page = Page::default();
    page.line(".Sh COMMANDS");
    page.text(
        "A noun and what to do with it; or a verb that has no noun. `--help` after any of them explains it in short.",
    );
    let (nouns, verbs): (Vec<&Command>, Vec<&Command>) = visible(root).partition(|c| c.has_subcommands());
    page.line(".Ss Verbs");
    page.line(".Bl -tag -width Ds");
    for verb in verbs {
        page.verb(verb, "");
    }
    page.line(".El");
    for noun in nouns {
        page.noun(noun);
    }
    page.line(".Sh GLOBAL OPTIONS");
    page.text("They may stand anywhere on the command line.");
    page.options(root.get_arguments().filter(|arg| arg.is_global_set()));
    page.line(".Sh CONSOLE OPTIONS");
    page.text("For the console, which opens without a verb.");
    page.options(root.get_arguments().filter(|arg| arg.get_help_heading() == Some("Console options")));
    page.out
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set())
}

/// Lines of mdoc.
#[derive(Default)]
struct Page {
    out: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Running text: a line for each sentence, as formatters want it.
    fn text(&mut self, text: &str) {
        for sentence in sentences(text) {
            self.line(&escape(&sentence));
        }
    }

    /// A noun with all its verbs.
    fn noun(&mut self, noun: &Command) {
        self.line(&format!(".Ss {}", argument(noun.get_name())));
        self.about(noun);
        self.line(".Bl -tag -width Ds");
        self.verbs(noun, noun.get_name());
        self.line(".El");
    }

    fn verbs(&mut self, noun: &Command, words: &str) {
        for verb in visible(noun) {
            if verb.has_subcommands() {
                self.verbs(verb, &format!("{words} {}", verb.get_name()));
            } else {
                self.verb(verb, words);
            }
        }
    }

    /// What it is for, and its other names.
    fn about(&mut self, command: &Command) {
        let about = command.get_long_about().or_else(|| command.get_about());
        self.text(&closed(&about.map(ToString::to_string).unwrap_or_default()));
        let aliases: Vec<&str> = command.get_visible_aliases().collect();
        if !aliases.is_empty() {
            self.text(&format!("Also `{}`.", aliases.join("`, `")));
        }
    }

    fn verb(&mut self, verb: &Command, words: &str) {
        let mut head = format!(".It Ic {}", argument(format!("{words} {}", verb.get_name()).trim()));
        let own = || verb.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_global_set());
        let (named, placed): (Vec<&Arg>, Vec<&Arg>) = own().partition(|arg| !arg.is_positional());
        for arg in named.iter().filter(|arg| arg.is_required_set()) {
            head += &format!(" Fl {}", spelling(arg));
        }
        if named.iter().any(|arg| !arg.is_required_set()) {
            head += " Oo Ar options Oc";
        }
        for arg in &placed {
            let name = values(arg);
            head += &if arg.is_required_set() { format!(" Ar {name}") } else { format!(" Oo Ar {name} Oc") };
        }
        self.line(&head);
        self.about(verb);
        self.options(placed.into_iter().chain(named));
    }

    fn options<'a>(&mut self, options: impl Iterator<Item = &'a Arg>) {
        let mut options = options.peekable();
        if options.peek().is_none() {
            return;
        }
        self.line(".Bl -tag -width Ds");
        for arg in options {
            self.line(&format!(".It {}", item(arg)));
            let help = arg.get_long_help().or_else(|| arg.get_help());
            self.text(&closed(&help.map(ToString::to_string).unwrap_or_default()));
            for more in more(arg) {
                self.text(&more);
            }
        }
        self.line(".El");
    }
}

/// An option as the head of its paragraph: `Fl n , Fl -lines Ar N`.
fn item(arg: &Arg) -> String {
    if arg.is_positional() {
        return format!("Ar {}", values(arg));
    }
    let short = arg.get_short().map(|c| format!("Fl {c} , ")).unwrap_or_default();
    format!("{short}Fl {}", spelling(arg))
}

/// `-lines Ar N`, for behind `Fl`, which adds a dash.
fn spelling(arg: &Arg) -> String {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("-{long}"),
        (None, short) => short.map(String::from).unwrap_or_default(),
    };
    let value = if arg.get_action().takes_values() { format!(" Ar {}", values(arg)) } else { String::new() };
    argument(&name) + &value
}

fn values(arg: &Arg) -> String {
    let names: Vec<String> = arg
        .get_value_names()
        .map(|names| names.iter().map(|name| argument(name)).collect())
        .unwrap_or_else(|| vec![argument(&arg.get_id().as_str().to_uppercase())]);
    let several = arg.is_positional() && matches!(arg.get_action(), ArgAction::Append);
    names.join(" ") + if several { " ..." } else { "" }
}

/// What clap's own help adds to the words: accepted values, default.
fn more(arg: &Arg) -> Vec<String> {
    let mut more = Vec::new();
    if !arg.get_action().takes_values() {
        return more;
    }
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !possible.is_empty() && !arg.is_hide_possible_values_set() {
        more.push(format!("One of {}.", possible.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() && !arg.is_hide_default_value_set() {
        more.push(format!("The default is {}.", defaults.join(", ")));
    }
    more
}

/// With a full stop.
fn closed(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn sentences(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let ends = word.ends_with(['.', '?', '!']) && word.len() > 2;
        let begins = |next: &&str| next.starts_with(|c: char| c.is_uppercase() || c == '`');
        if let Some(line) = out.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if ends && words.peek().is_some_and(begins) {
            out.push(String::new());
        }
    }
    out
}

/// Text that no formatter takes for a request. What stands in backticks is printed bold and not hyphenated; the
/// dashes of what may be copied stay dashes.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        let literal = i % 2 == 1;
        out.push_str(if literal { "\\fB" } else { "" });
        for (at, word) in part.split(' ').enumerate() {
            out.push_str(if at > 0 { " " } else { "" });
            let exact = literal || word.starts_with(['-', '(']) || word.contains(['/', ':', '_', '=']);
            out.push_str(if literal { "\\%" } else { "" });
            for c in word.chars() {
                match c {
                    '\\' => out.push_str("\\e"),
                    '-' if exact => out.push_str("\\-"),
                    c => out.push(c),
                }
            }
        }
        out.push_str(if literal { "\\fP" } else { "" });
    }
    if out.starts_with(['.', '\'']) { format!("\\&{out}") } else { out }
}

/// Words of a macro's line: none of them a macro or a request.
fn argument(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_macro = word.len() <= 3
            && word.starts_with(|c: char| c.is_ascii_uppercase() || c == '%')
            && word.contains(|c: char| c.is_ascii_lowercase());
        let word = word.replace('\\', "\\e").replace('-', "\\-");
        if is_macro || word.starts_with(['|', '.', ',', ';', ':', '?', '!', '(', ')', '[', ']', '"']) {
            format!("\\&{word}")
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn words_stay_words() {
        assert_eq!(escape("use --yes or well-known `a-b`"), "use \\-\\-yes or well-known \\fB\\%a\\-b\\fP");
        assert_eq!(escape(".Sh \\x"), "\\&.Sh \\ex");
        assert_eq!(argument("Nm"), "\\&Nm");
        assert_eq!(argument("NAME"), "NAME");
        assert_eq!(argument("[X]"), "\\&[X]");
        assert_eq!(sentences("One e.g. this. Two."), ["One e.g. this.", "Two."]);
    }

    /// By walking the definition: nothing that is not hidden is left out.
    #[test]
    fn every_verb_and_option_is_there() {
        let page = sections(&Cli::command());
        fn walk(command: &Command, words: &str, page: &str) {
            for inner in visible(command) {
                let words = format!("{words} {}", inner.get_name());
                let name = argument(words.trim());
                if !inner.has_subcommands() {
                    let item = page.lines().find(|line| {
                        line.strip_prefix(".It Ic ")
                            .and_then(|rest| rest.strip_prefix(&*name))
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ']))
                    });
                    assert!(item.is_some(), "{words}");
                }
                for arg in inner.get_arguments().filter(|arg| !arg.is_hide_set()) {
                    assert!(page.contains(&item(arg)), "{words}: {arg}");
                }
                walk(inner, &words, page);
            }
        }
        walk(&Cli::command(), "", &page);
        for arg in Cli::command().get_arguments() {
            assert!(page.contains(&item(arg)), "{arg}");
        }
        assert!(!page.contains(".It Ic manual"));
        assert!(page.lines().all(|line| line.trim_end() == line && !line.is_empty()), "{page}");
        assert_eq!(page.matches(".Bl").count(), page.matches(".El").count());
    }

    /// The command lines of a text: what stands in `.Ql`, in literal blocks, and indented in the journal's catalog.
    fn command_lines(text: &str) -> Vec<String> {
        let plain = text.replace("\\-", "-").replace("\\(aq", "'");
        let mut within = false;
        let mut lines = Vec::new();
        for line in plain.lines() {
            within = (within || line.starts_with(".Bd -literal")) && !line.starts_with(".Ed");
            let quoted = line.strip_prefix(".Ql ").or_else(|| line.strip_prefix("    "));
            let Some(line) = quoted.or_else(|| within.then_some(line)) else { continue };
            let line = line.trim_start().trim_start_matches("sudo ");
            let ends = |c: char| ['|', '>', '&', '#', ';'].contains(&c);
            if line.starts_with("aivonx ") {
                lines.push(
                    line.split(ends)
                        .next()
                        .unwrap_or_default()
                        .trim()
                        .trim_end_matches([',', '.', ' '])
                        .to_owned(),
                );
            }
        }
        lines
    }

    /// Whether each verb and option of a command line exists.
    fn understood(line: &str) -> Result<(), String> {
        let mut root = Cli::command();
        root.build();
        let mut command = &root;
        let mut value = false;
        for word in line.split(' ').skip(1) {
            if std::mem::take(&mut value) {
                continue;
            }
            let option = word.split('=').next().unwrap_or_default();
            if let Some(inner) = command.find_subcommand(word) {
                command = inner;
            } else if let Some(long) = option.strip_prefix("--") {
                let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long));
                let arg = arg.ok_or_else(|| format!("`{}` has no {option}", command.get_name()))?;
                value = arg.get_action().takes_values() && !word.contains('=');
            } else if command.has_subcommands() && !word.starts_with('-') {
                return Err(format!("`{}` has no {word}", command.get_name()));
            }
        }
        Ok(())
    }

    #[test]
    fn every_command_that_the_pages_advise_exists() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = vec![root.join("packaging/journald/aivonx.catalog")];
        for entry in std::fs::read_dir(root.join("man")).unwrap() {
            let path = entry.unwrap().path();
            let section = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if section.len() == 1 {
                files.push(path);
            }
        }
        let mut seen = 0;
        let mut wrong = Vec::new();
        for file in files {
            for line in command_lines(&std::fs::read_to_string(&file).unwrap()) {
                seen += 1;
                if let Err(why) = understood(&line) {
                    wrong.push(format!("{}: {line}: {why}", file.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(seen > 60, "{seen}");
        assert!(
            understood("aivonx node show x --nothing").is_err() && understood("aivonx nodez list").is_err()
        );
    }
}
