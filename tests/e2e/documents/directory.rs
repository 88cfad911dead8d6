//! Commands of `layoverd` about the files of one node, and the node itself.

use std::fs;

use harness::{Cluster, Primary, Settings};

use super::{Desk, Stage, commands_of, named::Named};
use crate::scene;

/// Where the node file lies here.
const NODE_FILE: (&str, &str) = ("/etc/layover/layover.toml", "FILE");

/// The machine of a node that has founded its cluster alone and was ended with mail in its spool.
struct Machine {
    desk: Desk,
    cluster: Cluster,
}

impl Machine {
    fn new(primary: &Primary) -> Self {
        let mut cluster = Cluster::bootstrap(&Settings::for_primary(primary.address()));
        scene::send_all(&cluster, &scene::letters(0..3));
        cluster.wait_queued(3, scene::CATCH_UP);
        let desk = Desk::before(&cluster);
        let copy = desk.path().join("copy").display().to_string();
        let copied = cluster.ctl().run(&["backup", &copy]);
        assert_eq!(copied.code, 0, "{}", copied.err);
        assert!(cluster.nodes[0].terminate().success());
        let file = fs::read_to_string(cluster.nodes[0].config()).unwrap();
        desk.put("FILE", &file);
        Self { desk, cluster }
    }

    /// Runs a command that comes to an end.
    fn run(&self, named: &Named) {
        let data_dir = self.cluster.nodes[0].data_dir();
        let mut to = "DIR";
        if named.begins("layoverd restore") {
            fs::remove_dir_all(&data_dir).unwrap();
            to = "copy";
        }
        let values = [
            ("DIR", to),
            NODE_FILE,
            ("/var/lib/layover", data_dir.to_str().unwrap()),
        ];
        if named.words.iter().any(|word| word == "--force-new-cluster") {
            // Nobody is at a terminal to be asked.
            let told = self.desk.run(named, &values, &["--yes"]);
            assert_eq!(told.code, 0, "{named}: {}", told.err);
        } else {
            self.desk.works(named, &values);
        }
    }

    /// Runs the node.
    fn serve(&self, named: &Named) {
        let web = self.cluster.nodes[0].ports.http.address();
        self.desk.serves(named, &[NODE_FILE], web, || {});
    }
}

#[test]
fn every_command_in_the_documents_about_the_files_of_a_node_works() {
    let primary = Primary::down_at_first();
    for named in commands_of(Stage::Directory) {
        println!("{named}");
        let machine = Machine::new(&primary);
        match named.act().as_str() {
            "layoverd" => machine.serve(&named),
            _ => machine.run(&named),
        }
    }
}
