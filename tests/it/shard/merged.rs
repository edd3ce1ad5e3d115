//! A merge gives the bytes of one run over all, in every format, and leaves a run that everything reads.

use std::collections::BTreeSet;
use std::time::SystemTime;

use clap::ValueEnum as _;
use seaworthy::checks::Checks;
use seaworthy::fleet;
use seaworthy::record::Record;
use seaworthy::report::style::{ColorChoice, Style};
use seaworthy::report::{self, Format};
use seaworthy::run::merge::{Merge, Piece};
use seaworthy::run::{RunFile, Saved};
use seaworthy::shard::Shard;
use serde_json::Value;

use super::{Place, WHOLE, count, filled, keep, names, paths, shard, shards, text, whole};

/// What a merge printed, and the id of the run that it kept.
fn merge(place: &Place, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = place.run(&[&["merge"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let kept =
        said.lines().find_map(|line| line.strip_prefix("kept in ")).unwrap_or_else(|| panic!("{}", text(&output)));
    let id = kept.split(' ').next().unwrap().rsplit('/').next().unwrap().to_owned();
    (String::from_utf8(output.stdout).unwrap(), id, output.status.code())
}

#[test]
fn every_format_has_the_bytes_of_one_run_over_all() {
    let checks = Checks::built_in().unwrap();
    let style = Style::choose(ColorChoice::Never, None, |_| None);
    let print = |format: Format, run: &RunFile, records: &[Record]| {
        let mut out = Vec::new();
        report::write(format, &fleet::report(run, records, &checks), &style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for shard_count in [1, 3, 8] {
        let place = Place::new();
        let one = Saved::load(&whole(&place.path().join("one"))).unwrap();
        let mut merge = Merge::default();
        // In any order.
        for directory in shards(&place.path().join("shards"), shard_count).into_iter().rev() {
            let run = seaworthy::run::read_file(&directory).unwrap();
            merge.add(Piece { directory, run }).unwrap();
        }
        let merged = merge.finish(SystemTime::UNIX_EPOCH).unwrap();
        assert!(merged.missing.is_empty() && merged.cut_off.is_empty() && merged.superseded.is_empty());
        let (records, damaged) = merged.load_as(|record| record);
        let run = merged.run;
        assert!(damaged.is_empty());
        // The id is the one thing that is the merged run's own: it has the time of the merge.
        assert!(run.id.starts_with("19700101T000000Z-"), "{}", run.id);
        assert_eq!(RunFile { id: one.run.id.clone(), ..run.clone() }, one.run);
        for format in Format::value_variants() {
            let merged = print(*format, &run, &records).replace(&run.id, &one.run.id);
            assert!(merged == print(*format, &one.run, &one.records), "{format:?} of {shard_count} shards differs");
        }
    }
}

#[test]
fn the_program_prints_a_merge_as_it_prints_one_run_and_as_it_prints_it_again() {
    let place = Place::new();
    let one = whole(&place.path().join("one"));
    let id = one.file_name().unwrap().to_str().unwrap();
    shards(&place.path().join("shards"), 8);
    let expected = place.run(&["sweep", "--from", one.to_str().unwrap(), "-o", "wide"]);
    let (merged, new_id, code) = merge(&place, &["shards", "-o", "wide", "--run-dir", "merged"]);
    assert_eq!(merged.replace(&new_id, id), String::from_utf8(expected.stdout).unwrap());
    assert_eq!(code, expected.status.code());
    let again = place.run(&["sweep", "--from", &new_id, "-o", "wide", "--run-dir", "merged"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), merged);
}

#[test]
fn a_preflight_is_merged_as_one() {
    let place = Place::new();
    for number in 1..=2 {
        let (mut file, records) = shard(number, 2);
        file.command = "preflight".to_owned();
        file.target = "1.30".parse().ok();
        keep(&place.path().join("shards"), file, &records);
    }
    let one = whole(&place.path().join("one"));
    let expected = place.run(&["preflight", "--to", "1.30", "--from", one.to_str().unwrap()]);
    let (merged, ..) = merge(&place, &["shards"]);
    assert_eq!(merged, String::from_utf8(expected.stdout).unwrap());
}

#[test]
fn the_merged_run_is_a_run_like_any_other() {
    let place = Place::new();
    let directories = shards(&place.path().join(".local/state/seaworthy/runs"), 3);
    // By ids, and into the directory where the shards are.
    let ids: Vec<&str> = directories.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let (_, id, _) = merge(&place, &ids);
    let saved = Saved::load(&place.path().join(".local/state/seaworthy/runs").join(&id)).unwrap();
    assert_eq!((&saved.run.hosts, &saved.records), (&WHOLE.run.hosts, &WHOLE.records));
    assert_eq!((saved.run.part, saved.run.command.as_str()), (None, "sweep"));
    assert_eq!((saved.run.started.as_str(), saved.run.duration_ms), ("2023-11-14T22:13:20Z", Some(9_500)));
    let last = place.run(&["sweep", "--from", "last", "-o", "json"]);
    let last: Value = serde_json::from_slice(&last.stdout).unwrap();
    assert_eq!(last["run"]["id"], id.as_str(), "a merge is newer than what it is made of");
    let story = place.run(&["diagnose", "masternode", "--from", &id]);
    assert!(String::from_utf8_lossy(&story.stdout).contains("masternode"), "{}", text(&story));
}

#[test]
fn a_missing_shard_is_named_and_its_nodes_are_unknown() {
    let place = Place::new();
    let mut directories = shards(&place.path().join("shards"), 4);
    let gone = filled(4);
    directories.remove(gone as usize - 1);
    let output = place.run(&[&["merge", "-o", "json", "--run-dir", "merged"], &*paths(&directories)].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let missing = names(gone, 4);
    assert!(said.contains(&format!("shard {gone}/4 is missing: its {} nodes are unknown", missing.len())), "{said}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    for node in document["nodes"].as_array().unwrap() {
        let name = node["name"].as_str().unwrap();
        let lost = missing.iter().any(|other| other == name);
        assert_eq!(node["failure"]["kind"] == "shard-missing", lost, "{name}");
        if lost {
            assert_eq!(
                (&node["verdict"], &node["summary"]),
                (&"unknown".into(), &"not done: its shard is missing".into())
            );
            assert_eq!(node["failure"]["message"], format!("its shard {gone}/4 is not among the merged runs"));
        }
    }
    assert_eq!(output.status.code(), Some(6), "{said}");
    let again = place.run(&["sweep", "--from", "last", "-o", "json", "--run-dir", "merged"]);
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), document);
}

#[test]
fn a_corrupt_record_is_named_and_costs_its_own_node() {
    let place = Place::new();
    let directories = shards(&place.path().join("shards"), 4);
    let (number, name) = (filled(4), names(filled(4), 4).remove(1));
    let record = directories[number as usize - 1].join("hosts").join(format!("{name}.json"));
    std::fs::write(&record, "{\"schema\":1,\"na").unwrap();
    let output = place.run(&["merge", "shards", "-o", "json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(record.to_str().unwrap()), "{said}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds = document["nodes"].as_array().unwrap().iter().filter(|node| node["failure"]["kind"] == "protocol");
    assert_eq!(kinds.map(|node| &node["name"]).collect::<Vec<_>>(), [&name]);
}

#[test]
fn a_shard_that_was_cut_off_gives_way_to_the_one_that_ended() {
    let place = Place::new();
    let runs = place.path().join("shards");
    shards(&runs, 2);
    let number = filled(2);
    let (mut file, records) = shard(number, 2);
    file.duration_ms = None;
    let killed = keep(&runs, file, &records[..1]);
    let output = place.run(&["merge", "shards", "-o", "name"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("{} was cut off and is left out", killed.display())), "{said}");
    let expected = place.run(&["sweep", "--from", whole(&place.path().join("one")).to_str().unwrap(), "-o", "name"]);
    assert_eq!(output.stdout, expected.stdout);

    // Alone it is better than nothing.
    let other = shards(&place.path().join("others"), 2).remove(2 - number as usize);
    let output = place.run(&["merge", killed.to_str().unwrap(), other.to_str().unwrap(), "-o", "json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did not end by itself"), "{said}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let undone = document["nodes"].as_array().unwrap().iter().filter(|node| node["failure"]["kind"] == "interrupted");
    assert_eq!(undone.count(), records.len() - 1);
}

#[test]
fn the_inventory_tells_which_hosts_a_shard_has() {
    let place = Place::new();
    let mut seen = BTreeSet::new();
    for number in 1..=3 {
        let shard = format!("{number}/3");
        let output = place.run(&["inventory", "-i", "node[01-30],", "-o", "name", "--shard", &shard]);
        for name in String::from_utf8(output.stdout).unwrap().lines() {
            assert_eq!(Shard::of(name, count(3)).to_string(), shard);
            assert!(seen.insert(name.to_owned()), "{name} is in two shards");
        }
        // The way of an Indexed Job, and the variable.
        let index = format!("index:{}/3", number - 1);
        let same =
            place.seaworthy(&["inventory", "-i", "node[01-30],", "-o", "name"]).env("SEAWORTHY_SHARD", index).output();
        let own = place.run(&["inventory", "-i", "node[01-30],", "-o", "name", "--shard", &shard]);
        assert_eq!(same.unwrap().stdout, own.stdout);
    }
    assert_eq!(seen.len(), 30);
}
