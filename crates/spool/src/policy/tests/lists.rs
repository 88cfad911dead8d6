//! Recipients that are listed, and the files that list them.

use proptest::prelude::*;

use super::*;

fn with_list(lines: &str, list: &str) -> Document {
    Document {
        text: with(lines),
        lists: [("users.txt".to_owned(), list.to_owned())].into(),
    }
}

const LIST: &str = "recipients = \"list\"\nrecipients_file = \"users.txt\"";

#[test]
fn only_listed_recipients_and_postmaster_are_known() {
    let list =
        "# staff\nAnna@Example.com\n\n  bert@example.com   # on leave\n\"c d\"@example.com\n";
    let policy = with_list(LIST, list).policy().unwrap();
    let domain = &policy.domains[0];
    let Recipients::List(list) = &domain.recipients else {
        panic!("{domain:?}");
    };
    assert_eq!((list.len(), list.is_empty()), (3, false));
    for known in [
        "anna",
        "ANNA",
        "Bert",
        "\"anna\"",
        "\"C D\"",
        "postmaster",
        "PostMaster",
    ] {
        assert!(domain.has(&recipient(known, "EXAMPLE.com")), "{known}");
    }
    assert!(domain.has(&ForwardPath::Postmaster));
    for unknown in ["anne", "anna+tag", "a", "postmaster1"] {
        assert!(!domain.has(&recipient(unknown, "example.com")), "{unknown}");
    }
}

#[test]
fn a_list_knows_its_recipients_in_whichever_script_their_domain_is() {
    let text = with_list(LIST, "").text;
    let text = text.replace("example.com", "xn--bcher-kva.example");
    let list = "\u{e4}@b\u{fc}cher.example\nb@xn--bcher-kva.example\n".to_owned();
    let lists = [("users.txt".to_owned(), list)].into();
    let policy = Document { text, lists }.policy().unwrap();
    for domain in ["B\u{fc}cher.example", "XN--bcher-kva.example"] {
        for (local_part, is_known) in [("\u{e4}", true), ("B", true), ("c", false)] {
            let path = recipient(local_part, domain);
            assert_eq!(
                policy.domain_of(&path).unwrap().has(&path),
                is_known,
                "{path}"
            );
        }
    }
}

#[test]
fn domains_may_share_a_file_and_each_has_its_own_of_it() {
    let text = "[[domain]]\nname = \"example.com\"\nprimary = [\"x\"]\n\
        recipients = \"list\"\nrecipients_file = \"all\"\n\
        [[domain]]\nname = \"*.example.com\"\nprimary = [\"x\"]\n\
        recipients = \"list\"\nrecipients_file = \"all\"\n";
    let lists = [(
        "all".to_owned(),
        "a@example.com\na@b.example.com\n".to_owned(),
    )];
    let document = Document {
        text: text.to_owned(),
        lists: lists.into(),
    };
    let policy = document.policy().unwrap();
    let has = |local_part: &str, domain: &str| {
        let path = recipient(local_part, domain);
        policy.domain_of(&path).unwrap().has(&path)
    };
    assert!(has("a", "example.com") && has("a", "b.example.com"));
    assert!(!has("a", "c.example.com"));
    let named = lists_named(text);
    assert_eq!(named.len(), 1);
    assert_eq!(
        (named[0].name.as_str(), named[0].line, named[0].column),
        ("all", 5, 19)
    );
}

#[test]
fn a_list_and_its_file_belong_together() {
    for (lines, list, expected) in [
        (
            "recipients = \"list\"",
            "",
            "4:14: recipients = \"list\" needs recipients_file",
        ),
        (
            "recipients_file = \"users.txt\"",
            "",
            "4:19: recipients_file belongs to recipients = \"list\"",
        ),
        (
            "recipients = \"any\"\nrecipients_file = \"users.txt\"",
            "",
            "5:19: recipients_file belongs to recipients = \"list\"",
        ),
        (
            "recipients = \"list\"\nrecipients_file = \"others.txt\"",
            "",
            "5:19: recipients_file = \"others.txt\" was not given along",
        ),
        (
            LIST,
            "a@example.com\n  anna\n",
            "users.txt:2:3: \"anna\" is no recipient: ",
        ),
        (
            LIST,
            "a@example.com\na@example.org # moved\n",
            "users.txt:2:1: a@example.org is in none of the domains that name this file",
        ),
    ] {
        let said = with_list(lines, list).policy().unwrap_err().to_string();
        assert!(said.starts_with(expected), "{lines}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_list_without_an_address_is_not_put_in_force() {
    for nobody in ["", "\n\n", "# nobody yet\n  \n"] {
        let document = with_list(LIST, nobody);
        let said = document.new_policy().unwrap_err().to_string();
        let expected = "5:19: recipients_file = \"users.txt\" has no address in it, and everybody of example.com";
        assert!(said.starts_with(expected), "{said}");
        assert!(document.policy().is_ok(), "some cluster may go by it");
    }
    let postmaster = with_list(LIST, "postmaster@example.com\n");
    assert!(postmaster.new_policy().is_ok());
    let misspelt = with_list(LIST, "anna\n").new_policy().unwrap_err();
    assert_eq!(misspelt.iter().count(), 1, "{misspelt}");
}

#[test]
fn a_policy_and_its_lists_are_bounded() {
    let list = "a@example.com\n".repeat(LISTED_MAX + 5);
    let said = with_list(LIST, &list).policy().unwrap_err().to_string();
    let expected = format!("users.txt:{}:1: there are more than", LISTED_MAX + 1);
    assert!(said.starts_with(&expected), "{said}");
    let list = " ".repeat(DOCUMENT_BYTES_MAX);
    let said = with_list(LIST, &list).policy().unwrap_err().to_string();
    assert!(
        said.starts_with("1:1: the policy and its lists have"),
        "{said}"
    );
    let list = "a\n".repeat(1000);
    let errors = with_list(LIST, &list).policy().unwrap_err();
    assert_eq!(errors.iter().count(), 100);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        if let Err(errors) = Policy::parse(&text) {
            prop_assert!(errors.iter().next().is_some());
            for error in errors {
                prop_assert!(error.line >= 1 && error.column >= 1);
                prop_assert!(!error.message.contains('\n'));
            }
        }
    }

    #[test]
    fn no_value_makes_the_reader_panic(name in "\\PC{0,30}", host in "\\PC{0,30}", span in "\\PC{0,12}") {
        let text = format!(
            "[[domain]]\nname = {}\nprimary = [{}]\nprobe_interval = {}\n",
            toml::Value::from(name), toml::Value::from(host), toml::Value::from(span)
        );
        drop(Policy::parse(&text));
    }

    #[test]
    fn what_is_ours_ends_in_a_domain_of_the_policy(
        front in "[a-zA-Z.\\[\\]*-]{0,40}|\\PC{0,10}",
        end in "(\\.?example.com|\\PC{0,10})",
    ) {
        let policy = policy_of(&["example.com", "*.example.com"]);
        let domain = format!("{front}{end}");
        if policy.domain_of(&recipient("u", &domain)).is_ok() {
            let ascii = in_ascii(&domain).unwrap().to_ascii_lowercase();
            prop_assert!(ascii == "example.com" || ascii.ends_with(".example.com"));
            // Of ASCII the address's reader lets no other character pass.
            let is_sound = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
            prop_assert!(domain.is_ascii() || ascii.chars().all(is_sound));
        }
    }
}
