//! The page for scrapers that read only the text format before OpenMetrics.

use std::fmt::Write as _;

/// Content type of [`plain`].
pub const PLAIN_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes an OpenMetrics `page` in the older format, in which a counter is called by the name of its samples, and there
/// are neither units nor a last line.
#[must_use]
pub fn plain(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut help = "";
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            // The type, which the name depends on, follows.
            help = text.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            // Writing to a string does not fail.
            let _ = writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_are_called_as_their_samples_and_units_are_left_out() {
        let page = "# HELP a_b Requests.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 3\n\
                    # HELP t_seconds Time.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\n\
                    t_seconds_sum 0.5\n# EOF\n";
        assert_eq!(
            plain(page),
            "# HELP a_b_total Requests.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 3\n\
             # HELP t_seconds Time.\n# TYPE t_seconds histogram\nt_seconds_sum 0.5\n"
        );
    }
}
