//! What is refused, with the reason and the right exit code.

use std::path::{Path, PathBuf};

use seaworthy::record::Record;
use seaworthy::run::RunFile;

use super::{Place, filled, keep, paths, shard, shards, text, whole};

/// The code and what was said; nothing is printed as a result.
fn refused(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = place.run(arguments);
    assert!(output.stdout.is_empty(), "{}", text(&output));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_shard_that_there_is_not_is_wrong_usage() {
    let place = Place::new();
    for (given, says) in [
        ("0/8", "index:0/8"),
        ("9/8", "1/8 to 8/8"),
        ("0/0", "N is 0"),
        ("index:8/8", "0 to 7"),
        ("eight", "K/N"),
        ("", "K/N"),
        // As Kubernetes leaves a variable that is not set.
        ("index:$(JOB_COMPLETION_INDEX)/8", "K/N"),
    ] {
        for command in [&["sweep"][..], &["preflight", "--to", "1.30"], &["run", "health-sweep"], &["inventory"]] {
            let (code, said) = refused(&place, &[command, &["-i", "a,", "--shard", given]].concat());
            assert_eq!(code, Some(64), "{command:?} {given}: {said}");
            assert!(said.contains(says), "{command:?} {given}: {said}");
        }
    }
}

#[test]
fn changes_and_runs_that_keep_nothing_have_no_shards() {
    let place = Place::new();
    for (arguments, says) in [
        (&["join", "a", "-i", "a,", "--shard", "1/2"][..], "--shard"),
        (&["flannel", "push", "-i", "a,", "--shard", "1/2"], "--shard"),
        (&["reset", "a", "-i", "a,", "--shard", "1/2"], "--shard"),
        (&["exec", "-i", "a,", "--shard", "1/2", "--", "true"], "--shard"),
        (&["run", "join", "-i", "a,", "--shard", "1/2"], "a change has no shards"),
        (&["run", "join", "-i", "a,", "--exit-zero"], "whether a change worked"),
        (&["sweep", "-i", "a,", "--shard", "1/2", "--no-save"], "nothing to merge"),
        (&["sweep", "--from", "last", "--shard", "1/2"], "--shard"),
        (&["sweep", "--rerun", "failed", "--shard", "1/2"], "--shard"),
        (&["merge"], "RUN"),
    ] {
        let (code, said) = refused(&place, arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_shard_that_cannot_be_kept_is_an_own_error() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "").unwrap();
    // 127.0.0.1:1 answers nobody; it is what cannot be kept that counts.
    let arguments =
        ["sweep", "-i", "127.0.0.1,", "--port", "1", "--shard", "1/1", "--run-dir", "file/runs", "--exit-zero"];
    let output = place.run(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("shard 1/1 was read but not kept"), "{}", text(&output));
}

#[test]
fn a_shard_without_hosts_is_a_run() {
    let place = Place::new();
    let empty = (1..=8).find(|number| {
        let shard: seaworthy::shard::Shard = format!("{number}/8").parse().unwrap();
        !shard.owns("127.0.0.1")
    });
    let shard = format!("{}/8", empty.unwrap());
    let output = place.run(&["sweep", "-i", "127.0.0.1,", "--shard", &shard, "--run-dir", "runs", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let merged = place.run(&["merge", "runs", "--no-save"]);
    assert_eq!(merged.status.code(), Some(4), "{}", text(&merged));
}

/// Two shards of two, the second changed before it is written.
fn differing(runs: &Path, change: impl FnOnce(&mut RunFile, &mut Vec<Record>)) -> Vec<PathBuf> {
    let (file, records) = shard(1, 2);
    let first = keep(runs, file, &records);
    let (mut file, mut records) = shard(2, 2);
    change(&mut file, &mut records);
    vec![first, keep(runs, file, &records)]
}

#[test]
fn runs_that_are_no_parts_of_one_run_are_refused_by_what_differs() {
    type Change = fn(&mut RunFile, &mut Vec<Record>);
    let cases: [(&str, Change); 8] = [
        ("seaworthy 0.1.0 made one and 9.9.9 the other", |file, _| file.version = "9.9.9".to_owned()),
        ("their probes differ", |file, _| file.part.as_mut().unwrap().probe = "0123456789abcdef".to_owned()),
        ("one is a sweep and the other a preflight", |file, _| file.command = "preflight".to_owned()),
        ("one measures by no version and the other by 1.30", |file, _| file.target = "1.30".parse().ok()),
        ("one is of 2 shards and the other of 3", |file, _| {
            file.part.as_mut().unwrap().shard = "2/3".parse().unwrap();
        }),
        ("their inventories or limits differ, first at masternode", |file, _| {
            file.part.as_mut().unwrap().whole.remove(0);
        }),
        ("these shards overlap", |file, records| {
            let (other, more) = shard(1, 2);
            file.hosts.push(other.hosts[0].clone());
            records.push(more[0].clone());
        }),
        ("none of the hosts that its shards are of", |file, records| {
            file.hosts[0].name = "stranger".to_owned();
            records[0].name = "stranger".to_owned();
        }),
    ];
    for (says, change) in cases {
        let place = Place::new();
        let directories = differing(&place.path().join("shards"), change);
        let (code, said) = refused(&place, &[&["merge"], &*paths(&directories)].concat());
        assert_eq!(code, Some(1), "{says}: {said}");
        assert!(said.contains(says), "{said}\nlacks: {says}");
        for directory in paths(&directories) {
            assert!(said.contains(directory) || says.contains("its shards"), "{said}\ndoes not name {directory}");
        }
        assert!(!place.path().join(".local").exists(), "nothing is kept of what cannot be merged");
    }
}

#[test]
fn the_same_run_or_shard_twice_a_whole_run_and_no_run_at_all_are_refused() {
    let place = Place::new();
    let directories = shards(&place.path().join("shards"), 2);
    let [first, second] = [directories[0].to_str().unwrap(), directories[1].to_str().unwrap()];
    let one = whole(&place.path().join("one"));
    let number = filled(2);
    let (file, records) = shard(number, 2);
    keep(&place.path().join("shards"), file, &records);
    std::fs::create_dir(place.path().join("empty")).unwrap();
    for (arguments, says) in [
        (&["merge", first, second, first][..], "are the same run"),
        (&["merge", "shards"], "and both ended; name one of them"),
        (&["merge", first, one.to_str().unwrap()], "is no shard"),
        (&["merge", "empty"], "holds no run of a shard"),
        (&["merge", "nowhere"], "nowhere"),
    ] {
        let (code, said) = refused(&place, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_run_of_a_newer_version_is_refused_and_one_that_is_no_run_any_more_is_missing() {
    let place = Place::new();
    let directories = shards(&place.path().join("shards"), 2);
    let file = directories[1].join("run.json");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replacen("\"schema\":1", "\"schema\":99", 1)).unwrap();
    let (code, said) = refused(&place, &["merge", "shards"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("schema 99"), "{said}");
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    let output = place.run(&["merge", "shards", "-o", "name"]);
    assert!(
        text(&output).contains("is not a saved run") && text(&output).contains("shard 2/2 is missing"),
        "{}",
        text(&output)
    );
    for directory in &directories {
        std::fs::write(directory.join("run.json"), "{").unwrap();
    }
    let (code, said) = refused(&place, &["merge", "shards"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("none of these runs can be read"), "{said}");
}
