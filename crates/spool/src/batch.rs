//! How many messages one command may change.
//!
//! A message may have a thousand recipients, and each of them is read, changed and written. So whoever makes up
//! a command that changes many messages goes by both: each kind has its own limit of messages, all have this
//! one of recipients.

/// Recipients of all messages that one command changes, unless a single message has more: it is applied at
/// once, and takes some MB, on every node.
pub const RECIPIENTS_PER_COMMAND_MAX: usize = 20_000;

/// How many of the first messages go into one command, as many recipients as each has; at least one if there is
/// any.
pub fn fitting(recipients: impl IntoIterator<Item = usize>) -> usize {
    let mut sum = 0_usize;
    let first = recipients
        .into_iter()
        .enumerate()
        .take_while(|(number, count)| {
            sum = sum.saturating_add(*count);
            *number == 0 || sum <= RECIPIENTS_PER_COMMAND_MAX
        });
    first.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_before_it_is_too_large_and_holds_one_message_at_least() {
        assert_eq!(fitting([]), 0);
        assert_eq!(fitting([1; 500]), 500);
        assert_eq!(fitting([1000; 500]), 20);
        assert_eq!(fitting([RECIPIENTS_PER_COMMAND_MAX + 1, 1]), 1);
        assert_eq!(fitting([1, RECIPIENTS_PER_COMMAND_MAX, 1]), 1);
    }
}
