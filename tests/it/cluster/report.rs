//! From records to the cluster's part of the report, and that in the wide table.

use std::time::SystemTime;

use seaworthy::checks::Checks;
use seaworthy::fleet;
use seaworthy::record::{Record, Section, rc};
use seaworthy::report::model::cluster::ClusterReport;
use seaworthy::report::style::Style;
use seaworthy::report::{self, Format};
use seaworthy::run::RunFile;

use crate::facts::case;

/// The recorded cluster with three more workers like its first.
pub(super) fn records() -> Vec<Record> {
    let mut records = case("healthy");
    let worker = records.iter().find(|record| record.name == "homelab").unwrap().clone();
    for number in 1..=3_u32 {
        let name = format!("worker{number}");
        let own = |text: &str| {
            text.replace("homelab", &name)
                .replace("192.168.4.62", &format!("192.168.4.9{number}"))
                .replace("10.244.2.", &format!("10.244.9{number}."))
                .replace("9d1e8f7a6b5c4d3e2f1a0b9c8d7e6f50", &format!("{number:032x}"))
                .replace("4c4c4544-0031", &format!("4c4c4544-000{number}"))
        };
        let mut twin = worker.clone();
        twin.name.clone_from(&name);
        twin.address = own(&twin.address);
        // Whose certificate it is cannot be written by a replacement.
        for section in sections(&mut twin).filter(|section| section.id == "cert") {
            (section.rc, section.text) = (rc::DENIED, String::new());
        }
        for section in sections(&mut twin) {
            section.text = own(&section.text);
            if section.id == "ip-link" {
                section.text = cards(&section.text, number);
            }
        }
        for section in records.iter_mut().flat_map(sections) {
            let kind = match section.id.as_str() {
                "api-nodes" => "node=",
                "api-pods-system" => "pod=",
                _ => continue,
            };
            let of_worker = section
                .text
                .find(&format!("{kind}homelab"))
                .or(section.text.find("pod=kube-flannel kube-flannel-ds-homelab"));
            let Some(from) = of_worker else { continue };
            let rest = &section.text[from..];
            let end = rest[1..].find(&format!("\n{kind}")).map_or(rest.len(), |at| at + 2);
            section.text = format!("{}{}", section.text, own(&rest[..end]));
        }
        records.push(twin);
    }
    records
}

/// Without what flannel told the others: the twins have no ways to each other.
pub(super) fn without_tunnels(records: &mut [Record]) {
    for record in records {
        edit(record, "api-nodes", |text| {
            let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("note=flannel")).collect();
            kept.join("\n") + "\n"
        });
    }
}

pub(super) fn sections(record: &mut Record) -> impl Iterator<Item = &mut Section> {
    record.probe.iter_mut().flat_map(|probe| &mut probe.sections)
}

/// Network cards of another machine.
fn cards(text: &str, number: u32) -> String {
    let mut pieces = text.split("link/ether ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| format!("{all}link/ether 0{number}{}", &piece[2..]))
}

pub(super) fn edit(record: &mut Record, id: &str, change: impl Fn(&str) -> String) {
    for section in sections(record).filter(|section| section.id == id) {
        section.text = change(&section.text);
    }
}

pub(super) fn report_of(records: &[Record]) -> report::model::Report {
    let run = RunFile::new("sweep", SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
    fleet::report(&run, records, &Checks::built_in().unwrap())
}

fn cluster(records: &[Record]) -> ClusterReport {
    report_of(records).cluster.unwrap()
}

/// The wide table below its rows.
fn wide(records: &[Record]) -> String {
    let style = Style { width: 120, color: false, unicode: true };
    let mut out = Vec::new();
    report::write(Format::Wide, &report_of(records), &style, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    // What the checks say about twins that were made with a few replacements is no matter here.
    text.split_once("\nversions\n").map(|(_, below)| below.to_owned()).unwrap_or_default()
}

#[test]
fn what_the_wide_table_says_of_the_cluster() {
    let mut records = records();
    for record in &mut records {
        match record.name.as_str() {
            "worker3" => {
                edit(record, "kubelet-config", |text| text.replace("cgroupDriver: systemd", "cgroupDriver: cgroupfs"));
                edit(record, "sysctl", |text| text.replace("net.ipv4.ip_forward=1", "net.ipv4.ip_forward=0"));
                edit(record, "packages", |text| text.replace("kubelet 1.29.15", "kubelet 1.29.3"));
            }
            "masternode" => {
                edit(record, "api-nodes", |text| {
                    text.replace("node=worker2\n", "node=worker2\ntaint=dedicated NoExecute gpu\n")
                });
                edit(record, "api-pods-system", |text| text.replace("kube-flannel-ds-worker2", "other"));
            }
            _ => {}
        }
    }
    without_tunnels(&mut records);
    insta::assert_snapshot!(wide(&records), @r#"
      OS  Debian GNU/Linux 12 (bookworm)
      kernel  6.1.0-34-amd64
      kubelet  1.29.15: homelab, masternode, worker[1-2]
      kubelet  1.29.3 (few): worker3
      kubeadm  1.29.15
      containerd  1.6.20
      runc  1.1.5
      CNI plugins  1.3.0
    configurations that differ
      kubelet of workers, as on homelab, worker[1-2]
        otherwise on worker3 (few)
          -  cgroupDriver = systemd
          +  cgroupDriver = cgroupfs
      sysctls of workers, as on homelab, worker[1-2]
        otherwise on worker3 (few)
          -  net.ipv4.ip_forward = 1
          +  net.ipv4.ip_forward = 0
    flannel's pods
      kube-flannel/kube-flannel-ds: 2 wanted, 2 there, 2 ready
      none on worker2: it does not tolerate the taint dedicated=gpu:NoExecute
    failing nodes against healthy ones
      worker3
        kernel.ip_forward: false, healthy true (2 of 2)
        kernel.sysctl_drift: ["net.ipv4.ip_forward"], healthy [] (2 of 2)
        kubelet.cgroup_driver: cgroupfs, healthy systemd (2 of 2)
        kubelet.cgroup_driver_differs: true, healthy false (2 of 2)
        kubelet.version: 1.29.3, healthy 1.29.15 (2 of 2)
        packages.versions.kubelet: 1.29.3-1.1, healthy 1.29.15-1.1 (2 of 2)

    5 nodes in 0.0ms: 2 failing, 3 ok
    retry with --limit 'worker[2-3]'
    "#);
}

#[test]
fn alone_there_is_nothing_to_compare() {
    let mut records = records();
    records.truncate(1);
    assert!(report_of(&records).cluster.is_none());
}

#[test]
fn the_same_records_give_the_same_report() {
    let records = records();
    let json = |cluster: &ClusterReport| serde_json::to_string(cluster).unwrap();
    assert_eq!(json(&cluster(&records)), json(&cluster(&records)));
}
