//! A text as an inventory of any format: loaded, chosen from, resolved and shown as `seaworthy inventory` does.

use std::path::PathBuf;
use std::sync::LazyLock;

use seaworthy::commands::inventory::{self as show, InventoryFormat};
use seaworthy::inventory::load::{self, Source, Surroundings};
use seaworthy::inventory::model::HostId;
use seaworthy::inventory::origin::Overrides;

use crate::{Scratch, assert_harmless};

/// As standard input has it. Nothing lies beside it, and no script is run.
pub fn try_text(text: &[u8]) {
    static EMPTY: LazyLock<Scratch> = LazyLock::new(Scratch::new);
    let surroundings = Surroundings {
        cwd: EMPTY.path(""),
        home: Some(PathBuf::from("/home/op")),
        script_deadline: std::time::Duration::from_secs(1),
    };
    let mut input = text;
    let loaded = match load::load(&[Source::Stdin], &surroundings, &mut input) {
        Ok(loaded) => loaded,
        Err(error) => return drop(error.to_string()),
    };
    for warning in &loaded.warnings {
        drop(warning.to_string());
    }
    let inventory = &loaded.inventory;
    let overrides = Overrides::default();
    // A million hosts are a million times the same.
    let hosts: Vec<HostId> = inventory.hosts().take(40).collect();
    for host in &hosts {
        assert_eq!(inventory.host(inventory.host_name(*host)), Some(*host), "a host is found by its name");
        drop(inventory.target(*host, &overrides));
    }
    for format in [InventoryFormat::Table, InventoryFormat::Json, InventoryFormat::Yaml] {
        for host in hosts.iter().take(4) {
            assert_harmless("explain", &show::explain(inventory, *host, &overrides, format));
        }
        assert_harmless("list", &show::list(inventory, &hosts, &overrides, format));
    }
    assert_harmless("graph", &show::graph(inventory, &hosts));
}
