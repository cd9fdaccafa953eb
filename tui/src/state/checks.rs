//! What fields of forms have to look like.

/// A name as the daemon takes it for nodes, users and keys.
///
/// # Errors
/// What it may be made of.
pub(crate) fn name(text: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '@');
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.len() <= 63 && text.starts_with(first) && text.chars().all(inner) {
        Ok(())
    } else {
        Err("lower case letters, digits, . _ - and a letter or digit first".into())
    }
}

/// The short name of an organization.
///
/// # Errors
/// What it may be made of.
pub(crate) fn slug(text: &str) -> Result<(), String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.len() <= 63 && text.starts_with(letter) && text.chars().all(|c| letter(c) || c == '-') {
        Ok(())
    } else {
        Err("lower case letters, digits, - and a letter or digit first".into())
    }
}

/// The address of a node.
///
/// # Errors
/// What it has to look like.
pub(crate) fn url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') => {
            if text.contains(char::is_whitespace) {
                Err("no blanks".into())
            } else if rest.split('/').next().is_some_and(|host| host.contains('@')) {
                Err("no user name in it: choose a credential below".into())
            } else {
                Ok(())
            }
        }
        _ => Err("http://HOST:PORT or https://HOST[:PORT][/PREFIX]".into()),
    }
}

/// How long a model stays in memory.
///
/// # Errors
/// What it has to look like.
pub(crate) fn keep_alive(text: &str) -> Result<(), String> {
    let number = text.strip_prefix('-').unwrap_or(text);
    let known = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || "hmsuµn.".contains(c));
    if !known {
        return Err("a time such as 30m or 1h30m, seconds, or -1 for ever".into());
    }
    if !number.contains(|c: char| c.is_ascii_digit() && c != '0') {
        return Err("a model that is kept for no time is not loaded; U unloads".into());
    }
    Ok(())
}

/// A whole number.
///
/// # Errors
/// Not a whole number.
pub(crate) fn number(text: &str) -> Result<(), String> {
    text.parse::<u32>().map(|_| ()).map_err(|_| "a whole number; 0 is no limit".into())
}

/// Labels: `KEY=VALUE`, separated by blanks.
///
/// # Errors
/// The first word that is not a label.
pub(crate) fn labels(text: &str) -> Result<(), String> {
    let wrong = text
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .find(|word| word.split_once('=').is_none_or(|(key, value)| key.is_empty() || value.is_empty()));
    wrong.map_or(Ok(()), |word| Err(format!("\"{word}\" is not KEY=VALUE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks() {
        assert!(["gpu1", "a", "1.b_c-d@e"].iter().all(|text| name(text).is_ok()));
        assert!(["GPU", "-a", "a b", "é", &"a".repeat(64)].iter().all(|text| name(text).is_err()));
        assert!(["http://h:1", "https://[::1]/p"].iter().all(|text| url(text).is_ok()));
        assert!(["h:1", "ftp://h", "http://", "http://a b", "http://u:p@h"].iter().all(|t| url(t).is_err()));
        assert!(labels("a=b, c=d").is_ok());
        assert!(labels("a=b c").unwrap_err().contains("\"c\""));
        assert!(["30m", "1h30m", "3600", "-1", "1.5h"].iter().all(|text| keep_alive(text).is_ok()));
        assert!(["soon", "", "-", "0", "0s", "1 h"].iter().all(|text| keep_alive(text).is_err()));
        assert!(number("8").is_ok() && number("-1").is_err());
    }
}
