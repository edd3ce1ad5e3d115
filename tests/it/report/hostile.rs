//! What nodes say stays in its cell, on its line and within the terminal.

use clap::ValueEnum as _;
use seaworthy::report::Format;
use seaworthy::report::style::Style;
use seaworthy::text::{is_deceptive, width};

use super::fixture::{self, PLAIN};
use super::{render, rows, table};

#[test]
fn what_nodes_say_cannot_leave_its_cell() {
    insta::assert_snapshot!(table(&fixture::hostile(), 100), @r"
    NODE                    PHASE  MOUNTS        DISK  CNI           KUBELET       VERDICT
    evil\nnode ok           ready  ok            10%   flannel       \u{9b}31mdo…  \x1b[2J\x1b]0;owned\x
                                                                                   07ok\r\nnode999 ready
                                                                                   ok
    longlonglonglonglongl…  ready  ok            12%   xxxxxxxxxxx…  running       word word word word
                                                                                   word word word word
                                                                                   word word word word
                                                                                   wo…
    節点一                  ready  קובץ \u{202…  14%   flannel       running       不明 😀
                                                                                   👩\u{200d}👩\u{200d}
                                                                                   👧
    quiet                   ready  ok            16%   flannel       running       ok
    all ok: permissions, containerd, nfs, kernel, time, api

    evil\nnode ok  line one\nline two
                   \x1b[31mred
                   zero\u{200b}width
    longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong
    longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong
    longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong
    longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong
                   yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
                   yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
                   yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
                   yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
    節点一         שגיאה: מערכת הקבצים

    4 nodes in 8.4s: 2 failing, 1 unknown, 1 ok
    retry with --rerun failed
    ");
}

#[test]
fn no_line_is_wider_than_the_terminal_or_ends_in_spaces() {
    for report in [fixture::fleet(), fixture::hostile()] {
        for columns in (26..64).chain((64..240).step_by(5)) {
            for unicode in [true, false] {
                let text = render(Format::Table, &report, Style { width: columns, unicode, color: false });
                for line in text.lines() {
                    assert!(width(line) <= columns, "{columns}: {line:?}");
                    assert_eq!(line, line.trim_end(), "{columns}");
                }
            }
        }
    }
}

#[test]
fn no_control_character_leaves_any_format() {
    for format in Format::value_variants() {
        let text = render(*format, &fixture::hostile(), PLAIN);
        let leak = text.chars().find(|&char| (char.is_control() && char != '\n') || is_deceptive(char));
        assert_eq!(leak, None, "{format:?}: {text}");
    }
}

#[test]
fn columns_stay_aligned_whatever_stands_in_them() {
    let text = table(&fixture::hostile(), 160);
    let mut lines = rows(&text).lines();
    let disk = width(lines.next().unwrap().split("DISK").next().unwrap());
    let at: Vec<usize> = ["10%", "12%", "14%", "16%"]
        .iter()
        .map(|figure| width(text.split(figure).next().unwrap().lines().last().unwrap()))
        .collect();
    assert_eq!(at, [disk; 4], "{text}");
}
