//! The folded outputs of `exec`.

use seaworthy::failure::{Failure, FailureKind};
use seaworthy::report::outputs::{self, NodeOutput, OutputsFormat};
use seaworthy::report::style::Style;
use serde_json::Value;

use super::fixture::PLAIN;

fn output(name: &str, exit: i32, stdout: &[u8], stderr: &[u8]) -> NodeOutput {
    NodeOutput {
        name: name.to_owned(),
        exit: Some(exit),
        stdout: stdout.to_vec(),
        stderr: stderr.to_vec(),
        failure: None,
    }
}

fn sample() -> Vec<NodeOutput> {
    let mut all: Vec<NodeOutput> =
        (1..=40).map(|number| output(&format!("node{number}"), 0, b"Linux 6.1\nup 3 days\n", b"")).collect();
    all.push(output("odd", 0, b"Linux 6.1\nup 3 days", b""));
    all.push(output("evil", 0, b"\x1b[2Jgone \xff\r\nok\n", b""));
    all.push(output("broken2", 127, b"", b"sh: uname: not found\n"));
    all.push(output("broken1", 127, b"", b"sh: uname: not found\n"));
    all.push(NodeOutput {
        exit: None,
        failure: Some(Failure::new(FailureKind::Refused, "port 22 refused the connection", "start sshd on it")),
        ..output("homelab", 0, b"", b"")
    });
    all
}

fn render(format: OutputsFormat, outputs: &[NodeOutput], style: Style) -> String {
    let mut out = Vec::new();
    outputs::write(format, outputs, &style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn equal_outputs_are_shown_once() {
    insta::assert_snapshot!(render(OutputsFormat::Folded, &sample(), PLAIN), @r"
    node[1-40] (40)
      Linux 6.1
      up 3 days

    broken[1-2] (2)  exit 127
      stderr:
      sh: uname: not found

    evil
      \x1b[2Jgone \xff
      ok

    homelab  port 22 refused the connection
      next  start sshd on it

    odd
      Linux 6.1
      up 3 days
    ");
}

#[test]
fn a_colour_ends_with_its_line() {
    let colored = render(OutputsFormat::Folded, &sample()[42..44], Style { color: true, ..PLAIN });
    insta::assert_snapshot!(colored.replace('\x1b', "␛"), @r"
    ␛[1mbroken[1-2] (2)␛[0m  ␛[31mexit 127␛[0m
      ␛[2mstderr:␛[0m
      ␛[33msh: uname: not found␛[0m
    ");
}

#[test]
fn json_has_every_node_by_itself() {
    let document: Value = serde_json::from_str(&render(OutputsFormat::Json, &sample(), PLAIN)).unwrap();
    assert_eq!(document["schema"], "seaworthy/exec/v1");
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 45);
    assert_eq!(nodes[41]["stdout"], "\u{1b}[2Jgone \u{fffd}\r\nok\n");
    assert_eq!(nodes[42]["exit"], 127);
    assert_eq!(nodes[44]["failure"]["kind"], "refused");

    let lines = render(OutputsFormat::Jsonl, &sample(), PLAIN);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, *nodes);
}

#[test]
fn many_large_outputs_are_one_pass() {
    // Four thousand of forty kilobytes that differ in the last byte only: comparing them in pairs would take hours.
    let mut text = vec![b'x'; 40_000];
    let all: Vec<NodeOutput> = (0..4_000_u16)
        .map(|number| {
            text.truncate(39_998);
            text.extend((number / 2).to_be_bytes());
            output(&format!("node{number}"), 0, &text, b"")
        })
        .collect();
    let groups = outputs::groups(&all);
    assert_eq!(groups.len(), 2_000);
    assert_eq!(groups[0].names, ["node0", "node1"]);
}

#[test]
fn the_exit_code_tells_failed_commands_from_missing_nodes() {
    let all = sample();
    let cases = [(0..41, 0), (0..43, 2), (44..45, 4), (0..45, 6), (0..0, 0)];
    for (range, code) in cases {
        assert_eq!(outputs::exit_code(&all[range.clone()]).code(), code, "{range:?}");
    }
}

#[test]
fn a_long_line_is_cut_between_characters_only() {
    for start in 0..4 {
        let line = format!("{}{}", "x".repeat(start), "日".repeat(100_000));
        let shown = render(OutputsFormat::Folded, &[output("node1", 0, line.as_bytes(), b"")], PLAIN);
        assert_eq!(shown, format!("node1\n  {line}\n"));
    }
}
