//! The Job of `docs/scale`: its manifests are read here as Kubernetes reads them, and what they start is started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use clap::Parser as _;
use seaworthy::cli::Cli;
use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use serde::Deserialize as _;
use serde_json::Value;

use super::{Place, text};

const FILES: [&str; 3] = ["config.yaml", "sweep-job.yaml", "merge-job.yaml"];

fn manifests(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scale").join(file);
    let yaml = std::fs::read_to_string(&path).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&yaml).map(|document| Value::deserialize(document).unwrap());
    documents.collect()
}

fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The one container of a Job.
fn container(job: &Value) -> &Value {
    &list(job, "/spec/template/spec/containers")[0]
}

/// Its arguments as Kubernetes fills them in: `$(NAME)` by the container's own variables, and by the index of the pod.
fn arguments(job: &Value, index: usize) -> Vec<String> {
    let container = container(job);
    let mut variables = BTreeMap::from([("JOB_COMPLETION_INDEX", index.to_string())]);
    for variable in list(container, "/env") {
        variables.insert(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap().to_owned());
    }
    let fill = |argument: &Value| {
        let argument = argument.as_str().expect("arguments are strings").to_owned();
        variables.iter().fold(argument, |text, (name, value)| text.replace(&format!("$({name})"), value))
    };
    list(container, "/args").iter().map(fill).collect()
}

#[test]
fn the_command_lines_of_manifests_and_pages_are_accepted() {
    let accepted = |arguments: &[String]| {
        let parsed = Cli::try_parse_from(["seaworthy".to_owned()].iter().chain(arguments));
        assert!(parsed.is_ok(), "{arguments:?}: {}", parsed.unwrap_err());
    };
    let mut jobs = 0;
    for job in FILES.iter().flat_map(|file| manifests(file)).filter(|document| document["kind"] == "Job") {
        assert_eq!(list(container(&job), "/command"), ["seaworthy"]);
        for index in 0..job["spec"]["completions"].as_u64().unwrap_or(1) {
            accepted(&arguments(&job, usize::try_from(index).unwrap()));
        }
        jobs += 1;
    }
    assert_eq!(jobs, 2);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scale.md")).unwrap();
    let typed: Vec<&str> = page.lines().filter(|line| line.starts_with("seaworthy ")).collect();
    assert!(typed.len() > 3, "{typed:?}");
    for line in typed {
        let line = line.split(['#', '>']).next().unwrap();
        accepted(&line.split_whitespace().skip(1).map(|word| word.replace('\'', "")).collect::<Vec<_>>());
    }
}

#[test]
fn the_manifests_fit_together() {
    let config = manifests("config.yaml");
    let named = |kind: &str| -> BTreeSet<String> {
        let own = config.iter().filter(|document| document["kind"] == kind);
        own.map(|document| document["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (maps, claims) = (named("ConfigMap"), named("PersistentVolumeClaim"));
    for file in ["sweep-job.yaml", "merge-job.yaml"] {
        let job = &manifests(file)[0];
        let pod = &job["spec"]["template"]["spec"];
        let mut volumes = BTreeSet::new();
        for volume in list(pod, "/volumes") {
            volumes.insert(volume["name"].as_str().unwrap());
            let known = |pointer: &str, names: &BTreeSet<String>| {
                volume.pointer(pointer).is_none_or(|name| names.contains(name.as_str().unwrap()))
            };
            assert!(known("/configMap/name", &maps) && known("/persistentVolumeClaim/claimName", &claims), "{volume}");
            if let Some(secret) = volume.get("secret") {
                assert_eq!(secret["defaultMode"], 0o400, "{file}: only its owner reads the key");
            }
        }
        for mount in list(container(job), "/volumeMounts") {
            assert!(volumes.contains(mount["name"].as_str().unwrap()), "{file}: {mount}");
        }
        assert_eq!(pod["restartPolicy"], "Never");
    }
    let sweep = &manifests("sweep-job.yaml")[0];
    assert_eq!(sweep["spec"]["completionMode"], "Indexed");
    let shard = format!("index:$(JOB_COMPLETION_INDEX)/{}", sweep["spec"]["completions"]);
    assert!(list(container(sweep), "/args").contains(&shard.into()), "as many shards as completions");

    // The inventory of the ConfigMap is one, and its host keys are.
    let place = Place::new();
    let data = &config.iter().find(|document| document["kind"] == "ConfigMap").unwrap()["data"];
    std::fs::write(place.path().join("inventory.yaml"), data["inventory.yaml"].as_str().unwrap()).unwrap();
    let hosts = place.run(&["inventory", "-i", "inventory.yaml", "-o", "name"]);
    assert_eq!(String::from_utf8_lossy(&hosts.stdout).lines().count(), 5000, "{}", text(&hosts));
    let node = place.run(&["inventory", "-i", "inventory.yaml", "--host", "site02-node0001.site02.example.net"]);
    assert!(text(&node).contains("sweeper@bastion.site02.example.net"), "{}", text(&node));
}

/// What stands for the mounted volumes.
fn furnish(place: &Place, fleet: &Fleet) {
    for directory in ["inventory", "key", "results"] {
        std::fs::create_dir(place.path().join(directory)).unwrap();
    }
    fleet.write_inventory(&place.path().join("inventory/inventory.yaml")).unwrap();
    std::fs::copy(fleet.known_hosts_path(), place.path().join("inventory/known_hosts")).unwrap();
    std::fs::copy(fleet.key_path(), place.path().join("key/id_ed25519")).unwrap();
}

/// A pod's arguments with the mounted paths at their stand-ins.
fn mounted(place: &Place, job: &Value, index: usize) -> Vec<String> {
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let arguments = arguments(job, index).into_iter();
    let arguments = arguments.map(|argument| match argument.strip_prefix("/etc/seaworthy/") {
        Some(rest) => at(rest),
        None => argument.strip_prefix("/results").map_or(argument.clone(), |rest| at("results") + rest),
    });
    arguments.collect()
}

/// Starts what a pod of that index would run; `patience` is how long a silent host is waited for.
fn pod(place: &Place, job: &Value, index: usize, patience: &str) -> Child {
    let mut arguments = mounted(place, job, index);
    arguments.extend(["--kex-timeout".to_owned(), patience.to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = place.seaworthy(&arguments);
    command.env("JOB_COMPLETION_INDEX", index.to_string()).env("SWEEP", "2026-11-22");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Where two documents differ, with the numbers of lists left out.
fn differences(one: &Value, other: &Value, at: &str, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            for (key, value) in a {
                differences(value, &b[key], &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (one, other) in a.iter().zip(b) {
                differences(one, other, at, found);
            }
        }
        _ if one == other || (age(one).is_some() && age(one) == age(other)) => {}
        _ => {
            found.insert(format!("{at}: {one} {other}"));
        }
    }
}

/// What is left of an age in seconds when its number is forgotten: nodes were read at other moments.
fn age(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.is_i64().then(String::new),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(String::new()),
        Value::String(text) => {
            let (before, after) = text.split_once(" s ago")?;
            Some(before.trim_end_matches(|it: char| it.is_ascii_digit()).to_owned() + after)
        }
        _ => None,
    }
}

/// What two sweeps of the same nodes do not have in common: when they were, and how long each step took.
const OF_THE_MOMENT: [&str; 6] =
    ["/run/id:", "/run/started:", "/run/duration", "/nodes/timings", "/nodes/facts/time/", "/nodes/facts/reach/"];

#[test]
fn eight_pods_one_of_them_killed_and_tried_again_give_what_one_sweep_gives() {
    let states = [State::ControlPlane, State::StorageNode, State::NoCni, State::ContainerdStopped, State::DiskFull];
    let answering = states.into_iter().chain(std::iter::repeat_n(State::Worker, 17)).map(|it| (it, Behaviour::Answer));
    let failing = [(State::Worker, Behaviour::Unreachable), (State::Worker, Behaviour::HangAfterTcp)];
    let fleet = Fleet::start(Plan::of(7, answering.chain(failing))).unwrap();
    let silent = &fleet.nodes().last().unwrap().name;
    let place = Place::new();
    furnish(&place, &fleet);
    let job = &manifests("sweep-job.yaml")[0];
    let shards = usize::try_from(job["spec"]["completions"].as_u64().unwrap()).unwrap();
    let results = place.path().join("results/2026-11-22");

    // The pod that has the silent node waits for it until it is killed, when it has begun to keep its run.
    let slow = (0..shards).find(|index| {
        let shard: seaworthy::shard::Shard = format!("index:{index}/{shards}").parse().unwrap();
        shard.owns(silent)
    });
    let slow = slow.unwrap();
    let mut killed = pod(&place, job, slow, "10m");
    let deadline = Instant::now() + Duration::from_mins(2);
    let begun = || {
        std::fs::read_dir(&results)
            .is_ok_and(|mut runs| runs.any(|run| run.is_ok_and(|run| run.path().join("run.json").exists())))
    };
    while !begun() {
        assert!(Instant::now() < deadline, "the pod never began");
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();

    let pods: Vec<Child> = (0..shards).map(|index| pod(&place, job, index, "2s")).collect();
    for (index, pod) in pods.into_iter().enumerate() {
        let output = pod.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "shard {index}: {}", text(&output));
    }
    assert_eq!(std::fs::read_dir(&results).unwrap().count(), shards + 1);

    let merge: Vec<String> = mounted(&place, &manifests("merge-job.yaml")[0], 0);
    let mut merge: Vec<&str> = merge.iter().map(String::as_str).collect();
    let log = place.run(&merge);
    assert_eq!(log.status.code(), Some(0), "{}", text(&log));
    assert!(String::from_utf8_lossy(&log.stderr).contains("was cut off and is left out"), "{}", text(&log));
    merge.extend(["-o", "json"]);
    let merged: Value = serde_json::from_slice(&place.run(&merge).stdout).unwrap();

    let mut all = mounted(&place, job, 0);
    let at = all.iter().position(|argument| argument == "--shard").unwrap();
    all.drain(at..at + 2);
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.extend(["--kex-timeout", "2s", "--run-dir", "all", "-o", "json"]);
    all.retain(|argument| *argument != "--exit-zero");
    // The same flag twice is refused; the last ones are meant here.
    let all: Vec<&str> = without_first(&without_first(&all, "--run-dir"), "--output");
    let one = place.run(&all);
    assert_eq!(one.status.code(), Some(6), "{}", text(&one));
    let one: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(one["nodes"].as_array().unwrap().len(), 24);

    let mut found = BTreeSet::new();
    differences(&one, &merged, "", &mut found);
    found.retain(|path| !OF_THE_MOMENT.iter().any(|known| path.starts_with(known)));
    assert!(found.is_empty(), "{found:#?}");
}

/// The arguments without the first flag of that name and its value.
fn without_first<'a>(arguments: &[&'a str], flag: &str) -> Vec<&'a str> {
    let at = arguments.iter().position(|argument| *argument == flag).unwrap();
    arguments[..at].iter().chain(&arguments[at + 2..]).copied().collect()
}
