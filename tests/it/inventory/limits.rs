//! `--limit`, which follows Ansible's algebra.

use super::*;

fn fleet() -> Inventory {
    text(
        "[web]\nweb[1:3]\n[db]\ndb[1:2]\nweb3\n[prod]\nweb2\ndb1\n[site:children]\nweb\ndb\n[rest]\nnode[01:12]\n2001:db8::7\n[empty]\n",
    )
}

#[test]
fn limits_follow_ansibles_algebra() {
    let fleet = fleet();
    for (arguments, hosts) in [
        (
            &["all"][..],
            "web1 web2 web3 db1 db2 node01 node02 node03 node04 node05 node06 node07 node08 node09 node10 node11 node12 2001:db8::7",
        ),
        (&["web"], "web1 web2 web3"),
        (&["db,web"], "web1 web2 web3 db1 db2"),
        (&["web:db"], "web1 web2 web3 db1 db2"),
        (&["db", "web1"], "web1 web3 db1 db2"),
        (&["web*:&prod"], "web2"),
        (&["!web2:web"], "web1 web3"),
        (&["web:!web2:&prod:db1"], "db1"),
        (&["&prod"], "web2 db1"),
        (&["!rest"], "web1 web2 web3 db1 db2"),
        (&["site:!db"], "web1 web2"),
        (&["si*"], "web1 web2 web3 db1 db2"),
        (&["node[02-04]"], "node02 node03 node04"),
        (&["node[10:99]"], "node10 node11 node12"),
        (&["node[01,03,11-12],db1"], "db1 node01 node03 node11 node12"),
        (&["web[0]"], "web1"),
        (&["web[-1]"], "web3"),
        (&["site[1:2]"], "web2 web3"),
        (&["site[3:]:!db2"], "db1"),
        (&["web[0-1]"], "web1 web2"),
        (&["w*[0]"], "web1"),
        (&["node0?"], "node01 node02 node03 node04 node05 node06 node07 node08 node09"),
        (&["node?[12]*"], "node01 node02 node11 node12"),
        (&["[wd]*2"], "web2 db2 node02 node12".split_at(8).0),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["!2001:db8::7:&rest", "node0*"], "node01 node02 node03 node04 node05 node06 node07 node08 node09"),
        (&["@failed"], "web2 db1"),
        (&["web:!@failed"], "web1 web3"),
        (&["site:&@failed"], "web2 db1"),
    ] {
        assert_eq!(limit(&fleet, arguments).map(|hosts| hosts.join(" ")).as_deref(), Ok(hosts), "{arguments:?}");
    }
}

#[test]
fn limits_that_choose_nobody_are_errors() {
    let fleet = fleet();
    let all: String = [
        "wbe1",
        "web:!web",
        "empty",
        "~web.*",
        "@gone",
        "web[9]",
        "node[9:1]",
        "node[1:99999999]",
        "quux:&web",
        "",
        " , ",
    ]
    .iter()
    .map(|argument| limit(&fleet, &[argument]).unwrap_err().to_string() + "\n")
    .collect();
    assert_snapshot!(all, @r##"
    --limit wbe1: no host matches; did you mean "web1"?
    --limit web,!web: no host matches
    --limit empty: no host matches
    --limit ~web.*: regular expressions are not supported; use *, ?, [a-f] or a list of names
    --limit @gone: cannot be read: entity not found
    --limit web[9]: the group has only 3 hosts, counted from 0
    --limit node[9:1]: the range is wrong: the first is greater than the last
    --limit node[1:99999999]: the range is wrong: it gives more than 1000000 hosts
    --limit quux,&web: no host matches
    --limit is given, but says nothing; leave it out to mean every host
    --limit is given, but says nothing; leave it out to mean every host
    "##);
    let arguments = ["web1,wbe2".to_owned()];
    let none = |_: &Path| Ok(String::new());
    let selection = fleet.select(&Limit::parse(&arguments, &none).unwrap()).unwrap();
    assert_eq!(selection.warnings[0].to_string(), "--limit: no host matches \"wbe2\"; did you mean \"web2\"?");
    assert_eq!(fleet.find("wbe2").unwrap_err().to_string(), "--limit wbe2: no host matches; did you mean \"web2\"?");
}

mod algebra {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// `(union of plain) ∩ each & − each !`, in whatever order the terms stand, with any separator.
        #[test]
        fn is_that_of_sets(terms in prop::collection::vec((0_usize..3, 0_usize..11), 1..7), colon: bool) {
            let fleet = fleet();
            let groups =
                ["web", "db", "prod", "site", "rest", "all", "w*", "node[02-11]", "site[1:3]", "node0?", "empty"];
            let text: Vec<String> = terms.iter().map(|(sign, group)| format!("{}{}", ["", "&", "!"][*sign], groups[*group])).collect();
            let members = |group: &str| -> BTreeSet<String> {
                match limit(&fleet, &[group]) {
                    Ok(hosts) => hosts.into_iter().collect(),
                    Err(error) => {
                        assert_eq!((group, error.to_string().as_str()), ("empty", "--limit empty: no host matches"));
                        BTreeSet::new()
                    }
                }
            };
            let mut wanted: BTreeSet<String> = BTreeSet::new();
            for (_, group) in terms.iter().filter(|(sign, _)| *sign == 0) {
                wanted.extend(members(groups[*group]));
            }
            if terms.iter().all(|(sign, _)| *sign != 0) {
                wanted = members("all");
            }
            for (sign, group) in &terms {
                let other = members(groups[*group]);
                wanted.retain(|host| match sign { 1 => other.contains(host), 2 => !other.contains(host), _ => true });
            }
            match limit(&fleet, &[&text.join(if colon { ":" } else { "," })]) {
                Ok(found) => {
                    let in_order: Vec<String> = names(&fleet).into_iter().filter(|name| wanted.contains(*name)).map(str::to_owned).collect();
                    prop_assert_eq!(found, in_order);
                }
                Err(LimitError::NoMatch { .. }) => prop_assert!(wanted.is_empty()),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }

        /// What a report folds chooses the same hosts again: copied out of a table, or as `--limit` in its last line.
        #[test]
        fn folded_names_choose_the_same_hosts(
            all in prop::collection::btree_set("[ab]{0,2}-?[0-3]{0,3}(-x)?[0-2]?[.]?c?", 1..40),
            every in 1_usize..4,
        ) {
            let all: Vec<String> = all.into_iter().filter(|name| name.starts_with(|c: char| c.is_ascii_alphanumeric())).collect();
            prop_assume!(!all.is_empty());
            let inventory = text(&format!("[all]\n{}\n", all.join("\n")));
            let some: BTreeSet<&str> = all.iter().map(String::as_str).step_by(every).collect();
            let unfolded = |folded: &str| -> BTreeSet<String> { limit(&inventory, &[folded]).unwrap().into_iter().collect() };
            let some: BTreeSet<String> = some.into_iter().map(str::to_owned).collect();
            let limit = seaworthy::names::limit(some.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(&unfolded(&limit), &some, "{}", limit);
            for item in seaworthy::names::fold(some.iter().map(String::as_str)) {
                let names: BTreeSet<String> = item.names().iter().map(|name| (*name).to_owned()).collect();
                prop_assert_eq!(unfolded(&item.to_string()), names, "{}", item);
            }
        }

        #[test]
        fn no_text_panics(inventory in "[a-c:\\[\\]{}=#'\"!&|>* \\n\\t-]{0,60}", term in "[a-z0-9\\[\\]:,*?!&-]{0,16}") {
            let _ = try_text(&inventory);
            let _ = limit(&fleet(), &[&term]);
        }
    }
}
