//! Escapes of JSON strings, resolved as the nodes resolve them.

/// Resolves the escapes of a captured string. A lone surrogate becomes U+FFFD, as in Go's decoder; None if
/// an escape or the UTF-8 is malformed.
#[must_use]
pub fn unescape(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    if !raw.contains(&b'\\') {
        return Some(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut high: Option<u32> = None;
    while let Some(c) = chars.next() {
        let unit = if c == '\\' { escape(&mut chars)? } else { u32::from(c) };
        if let Some(first) = high.take() {
            if (0xdc00..0xe000).contains(&unit) {
                out.push(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (unit - 0xdc00))?);
                continue;
            }
            out.push('\u{fffd}');
        }
        match unit {
            0xd800..0xdc00 => high = Some(unit),
            unit => out.push(char::from_u32(unit).unwrap_or('\u{fffd}')),
        }
    }
    if high.is_some() {
        out.push('\u{fffd}');
    }
    Some(out)
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    Some(match chars.next()? {
        'n' => 0x0a,
        't' => 0x09,
        'r' => 0x0d,
        'b' => 0x08,
        'f' => 0x0c,
        'u' => {
            let hex = chars.as_str().get(..4)?;
            if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *chars = chars.as_str()[4..].chars();
            u32::from_str_radix(hex, 16).ok()?
        }
        c @ ('"' | '\\' | '/') => u32::from(c),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes_resolve_as_in_go() {
        assert_eq!(unescape(br"\u006dodel").unwrap(), "model");
        assert_eq!(unescape(br"\ud83d\ude00").unwrap(), "\u{1f600}");
        assert_eq!(unescape(br"\ud83dx").unwrap(), "\u{fffd}x");
        assert_eq!(unescape(br"\ude00").unwrap(), "\u{fffd}");
        assert_eq!(unescape(br"\ud83d\ud83d\ude00").unwrap(), "\u{fffd}\u{1f600}");
        assert!(unescape(br"\x").is_none());
        assert!(unescape(br"\u12").is_none());
    }
}
