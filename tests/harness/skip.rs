//! What a test does where something is missing that it needs: it says so, and passes.

/// Hands on what could be made, or says on standard error why the test is skipped.
#[must_use]
pub fn or_skip<T>(made: Result<T, String>) -> Option<T> {
    made.inspect_err(|why| eprintln!("skipped: {why}")).ok()
}
