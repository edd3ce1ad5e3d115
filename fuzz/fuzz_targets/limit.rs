//! `--limit`, with the files that it names.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use seaworthy::inventory::limit::Limit;
use seaworthy::inventory::load::{self, Source, Surroundings};
use seaworthy::inventory::model::Inventory;

static FLEET: LazyLock<Inventory> = LazyLock::new(|| {
    let mut text: &[u8] = b"[web]\nweb[1:3]\n[db]\ndb[1:2]\nweb3\n[prod]\nweb2\ndb1\n[site:children]\nweb\ndb\n[rest]\nnode[01:12]\n2001:db8::7\n[empty]\n";
    let surroundings = Surroundings { cwd: "/".into(), home: None, script_deadline: Duration::from_secs(1) };
    load::load(&[Source::Stdin], &surroundings, &mut text).expect("the fleet is valid").inventory
});

fuzz_target!(|data: &[u8]| {
    let (arguments, file) = seaworthy_fuzz::parted(data);
    let arguments: Vec<String> = String::from_utf8_lossy(arguments).lines().map(str::to_owned).collect();
    let file = String::from_utf8_lossy(file).into_owned();
    let limit = match Limit::parse(&arguments, &|_| Ok(file.clone())) {
        Ok(limit) => limit,
        Err(error) => return drop(error.to_string()),
    };
    match FLEET.select(&limit) {
        Ok(selection) => {
            assert!(!selection.hosts.is_empty());
            assert!(
                selection.hosts.is_sorted()
                    && selection.hosts.iter().all(|host| FLEET.hosts().any(|known| known == *host))
            );
            for warning in selection.warnings {
                drop(warning.to_string());
            }
        }
        Err(error) => drop(error.to_string()),
    }
});
