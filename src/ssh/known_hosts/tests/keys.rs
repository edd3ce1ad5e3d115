//! Plain keys: names, patterns, hashes, ports, markers.

use super::*;

#[test]
fn names_ports_patterns_and_markers() {
    let (one, two, other) = (text(&ed25519(1)), text(&ed25519(2)), text(&ecdsa()));
    let content = format!(
        "# the cluster\n\
         \n\
         node1,10.0.0.1\t{one}\n\
         [node2]:2222   {one} a comment\n\
         *.lab,!bad.lab {one}\n\
         two {one}\n\
         two {two}\n\
         ecdsa-only {other}\n\
         @revoked * {two}\n\
         this line is broken\n\
         [10.0.*]:2200 {one}\n\
         Upper.Example {one}\n\
         fe80::1 {one}\n\
         three {one}\n\
         three {other}\n"
    );
    let files = Files::new(&content);
    let (first, revoked, third) = (ed25519(1), ed25519(2), ed25519(3));
    for (name, port, key, expected) in [
        ("node1", 22, &first, ("known", 3)),
        ("NODE1", 22, &first, ("known", 3)),
        ("10.0.0.1", 22, &first, ("known", 3)),
        ("10.0.0.10", 22, &first, ("unknown", 0)),
        ("node1", 22, &third, ("changed", 3)),
        // ssh accepts the key of the bare name behind another port, but a difference there says nothing.
        ("node1", 2200, &first, ("known", 3)),
        ("node1", 2200, &third, ("unknown", 0)),
        ("node2", 2222, &first, ("known", 4)),
        ("node2", 2222, &third, ("changed", 4)),
        ("node2", 22, &first, ("unknown", 0)),
        ("a.lab", 22, &first, ("known", 5)),
        ("bad.lab", 22, &first, ("unknown", 0)),
        ("10.0.7.7", 2200, &first, ("known", 11)),
        ("upper.example", 22, &first, ("known", 12)),
        ("fe80::1", 22, &first, ("known", 13)),
        // Revoked wins over known, everywhere.
        ("two", 22, &first, ("known", 6)),
        ("two", 22, &revoked, ("revoked", 9)),
        ("nobody", 22, &revoked, ("revoked", 9)),
        ("node2", 2222, &revoked, ("revoked", 9)),
        ("ecdsa-only", 22, &first, ("other type", 8)),
        ("three", 22, &ecdsa(), ("known", 15)),
        ("three", 22, &third, ("changed", 14)),
    ] {
        assert_eq!(short(&files.check(name, port, key)), expected, "{name}:{port}");
    }
    assert_eq!(files.hosts.complaints(), [format!("{}:10: the key is not base64", files.user().display())]);
}

#[test]
fn a_key_revoked_for_the_bare_name_is_revoked_behind_every_port() {
    let key = ed25519(1);
    let files = Files::new(&format!("@revoked node1 {0}\n[node1]:2222 {0}\n", text(&key)));
    assert_eq!(short(&files.check("node1", 2222, &key)), ("revoked", 1));
}

#[test]
fn any_of_two_keys_of_one_type_is_a_match() {
    let files = Files::new(&format!("h {}\nh {}\n", text(&ed25519(1)), text(&ed25519(2))));
    assert_eq!(short(&files.check("h", 22, &ed25519(2))), ("known", 2));
    assert_eq!(short(&files.check("h", 22, &ed25519(3))), ("changed", 1));
}

#[test]
fn the_alias_replaces_name_and_port() {
    let key = ed25519(1);
    let files = Files::new(&format!("the-alias {}\n", text(&key)));
    let aliased = HostKeySettings { alias: Some("The-Alias".into()), ..files.settings() };
    let answer = files.hosts.check(&aliased, "10.9.9.9", 2222, &key).unwrap();
    assert_eq!(short(&answer), ("known", 1));
    assert_eq!(short(&files.check("10.9.9.9", 2222, &key)), ("unknown", 0));
}

#[test]
fn a_change_is_told_with_place_and_both_fingerprints() {
    let files = Files::new(&format!("h {}\n", text(&ed25519(1))));
    let answer = files.check("h", 22, &ed25519(2));
    let failure = answer.refusal().unwrap();
    let directory = files.directory.path().display().to_string();
    insta::assert_snapshot!(failure.message.replace(&directory, "DIR"), @"the host presented ssh-ed25519 SHA256:4A9jyZBOhnKZvcGQ6TRFbf5Gymb41AfYvYaVmWHD+G4, but DIR/known_hosts:1 knows ssh-ed25519 SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8");
    insta::assert_snapshot!(failure.next.replace(&directory, "DIR"), @"find out why the key changed; if the host was reinstalled, remove line 1 of DIR/known_hosts");
    assert_eq!(failure.kind, crate::failure::FailureKind::HostKeyChanged);
}

#[test]
fn fingerprints_are_those_of_the_ssh_library() {
    let HostKeyAnswer::Unknown { presented } = Files::new("").check("h", 22, &ecdsa()) else { panic!("an empty file") };
    let expected = ecdsa().fingerprint(russh::keys::HashAlg::Sha256);
    assert_eq!(presented, format!("ecdsa-sha2-nistp256 {expected}"));
}

#[test]
fn known_types_come_in_the_order_of_the_files() {
    let files = Files::new(&format!(
        "h {0}\nh {1}\nh {0}\n@revoked h {1}\n@cert-authority ca.* {1}\n[p]:2222 {0}\n",
        text(&ecdsa()),
        text(&ed25519(1))
    ));
    let types = |name, port| -> Vec<String> {
        let types = files.hosts.known_key_types(&files.settings(), name, port).unwrap();
        types.iter().map(ToString::to_string).collect()
    };
    assert_eq!(types("h", 22), ["ecdsa-sha2-nistp256", "ssh-ed25519"]);
    assert_eq!(types("h", 2200), ["ecdsa-sha2-nistp256", "ssh-ed25519"]);
    assert_eq!(types("p", 2222), ["ecdsa-sha2-nistp256"]);
    assert!(types("ca.example", 22).is_empty());
    assert!(files.hosts.has_authority(&files.settings(), "ca.example", 22).unwrap());
    assert!(!files.hosts.has_authority(&files.settings(), "h", 22).unwrap());
}

#[test]
fn hashed_names_are_those_of_ssh_keygen() {
    let (first, second) = (ed25519(1), ed25519(2));
    let files = Files::new(&format!("node1 {}\n[node2]:2222 {1}\nnode3 {1}\n", text(&first), text(&second)));
    let path = files.user();
    let Some(_) = ssh_keygen(&["-H", "-f", path.to_str().unwrap()]) else { return };
    assert!(files.content().lines().all(|line| line.starts_with("|1|")), "{}", files.content());
    for (name, port, key, expected) in [
        ("node1", 22, &first, ("known", 1)),
        ("Node1", 22, &first, ("known", 1)),
        ("node1", 22, &second, ("changed", 1)),
        ("node2", 2222, &second, ("known", 2)),
        ("node2", 22, &second, ("unknown", 0)),
        ("node3", 22, &second, ("known", 3)),
        // Asked again, after the lines were claimed.
        ("node1", 22, &first, ("known", 1)),
        ("node4", 22, &first, ("unknown", 0)),
    ] {
        assert_eq!(short(&files.check(name, port, key)), expected, "{name}:{port}");
    }
}

#[test]
fn many_threads_find_the_same_hashed_names() {
    let keys: Vec<PublicKey> = (0..50).map(ed25519).collect();
    let lines: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| {
            let salt = [u8::try_from(n).unwrap(); 20];
            let digest = file::hash_name(&salt, &format!("node{n}")).unwrap();
            let encode = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
            format!("|1|{}|{} {}\n", encode(&salt), encode(&digest), text(key))
        })
        .collect();
    let files = Files::new(&lines.concat());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (n, key) in keys.iter().enumerate() {
                    assert_eq!(short(&files.check(&format!("node{n}"), 22, key)), ("known", n + 1));
                }
            });
        }
    });
}
