//! Commands that need no node.

use super::{Desk, Stage, commands_of};

const VALUES: [(&str, &str); 1] = [("SHELL", "bash")];

#[test]
fn every_command_in_the_documents_that_needs_no_node_works() {
    for named in commands_of(Stage::Alone) {
        let desk = Desk::empty();
        if named.words.iter().any(|word| word == "--renew") {
            let first = named.without("--renew");
            assert!(desk.works(&first, &VALUES));
        }
        let is_whole = desk.works(&named, &VALUES);
        println!("{named}: {}", if is_whole { "done" } else { "a name" });
    }
}
