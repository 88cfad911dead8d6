//! Addresses in text.

use smtp::{
    ForwardPath, Mailbox, ReversePath,
    limits::{DOMAIN_MAX, LOCAL_PART_MAX, MAILBOX_MAX},
};

/// An address that is taken reads the same when it is written, keeps to its limits, and has nothing in
/// it that ends a line. What follows on a path is the end of the text.
pub fn address(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(mailbox) = text.parse::<Mailbox>() {
        keeps_to_its_limits(&mailbox);
        assert_eq!(mailbox.to_string().parse(), Ok(mailbox));
    }
    if let Ok((path, rest)) = ReversePath::parse(text) {
        assert!(text.ends_with(rest));
        reverse_path_reads_the_same(&path);
    }
    if let Ok((path, rest)) = ForwardPath::parse(text) {
        assert!(text.ends_with(rest));
        forward_path_reads_the_same(&path);
    }
}

pub(crate) fn reverse_path_reads_the_same(path: &ReversePath) {
    if let ReversePath::Mailbox(mailbox) = path {
        keeps_to_its_limits(mailbox);
    }
    let written = format!("<{path}>");
    assert_eq!(ReversePath::parse(&written), Ok((path.clone(), "")));
}

pub(crate) fn forward_path_reads_the_same(path: &ForwardPath) {
    if let ForwardPath::Mailbox(mailbox) = path {
        keeps_to_its_limits(mailbox);
    }
    let written = format!("<{path}>");
    assert_eq!(ForwardPath::parse(&written), Ok((path.clone(), "")));
}

fn keeps_to_its_limits(mailbox: &Mailbox) {
    let written = mailbox.to_string();
    assert!(mailbox.local_part.len() <= LOCAL_PART_MAX, "{written}");
    assert!(mailbox.domain.len() <= DOMAIN_MAX, "{written}");
    assert!(written.len() <= MAILBOX_MAX, "{written}");
    assert!(!written.contains(char::is_control), "{written:?}");
}
