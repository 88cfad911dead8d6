//! Prometheus' text format, made of the one that OpenMetrics has made of it.
//!
//! The library writes the latter only. The former is what every program reads that reads metrics, and what
//! `promtool check metrics` judges.

/// Says so of a page that [`plain`] has made.
pub(crate) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes a page in the one format out of one in the other.
///
/// Samples are the same in both. In the text format a metric is described by the name that its samples have, with
/// `_total` or `_info`; what states a constant is a gauge.
pub(super) fn plain(open: &str) -> String {
    let mut page = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = type_of(line) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, words)) = help.take().filter(|(described, _)| *described == name) {
                page.push_str(&format!("# HELP {name}{suffix} {words}\n"));
            }
            page.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            page.push_str(line);
            page.push('\n');
        }
    }
    page
}

fn type_of(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_described_by_the_names_of_their_samples() {
        let open = "# HELP layover_smtp_messages Messages.\n# TYPE layover_smtp_messages counter\n\
                    layover_smtp_messages_total{result=\"accepted\"} 3\n\
                    # HELP layover_build The version.\n# TYPE layover_build info\n\
                    layover_build_info{version=\"1\"} 1\n\
                    # TYPE layover_commit_seconds histogram\n# UNIT layover_commit_seconds seconds\n\
                    layover_commit_seconds_sum 0.5\nlayover_commit_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let text = "# HELP layover_smtp_messages_total Messages.\n# TYPE layover_smtp_messages_total counter\n\
                    layover_smtp_messages_total{result=\"accepted\"} 3\n\
                    # HELP layover_build_info The version.\n# TYPE layover_build_info gauge\n\
                    layover_build_info{version=\"1\"} 1\n\
                    # TYPE layover_commit_seconds histogram\n\
                    layover_commit_seconds_sum 0.5\nlayover_commit_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(plain(open), text);
    }
}
