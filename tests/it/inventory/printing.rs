//! `seaworthy inventory`, and the shipped example.

use super::*;

#[test]
fn the_command_lists_graphs_and_explains() {
    let directory = directory(&[
        (
            "hosts.yml",
            "control_plane:\n  hosts:\n    cp1:\n      ansible_connection: local\nworkers:\n  hosts:\n    w[1:2]:\n      \
                       ansible_host: 10.0.0.7\n    bad:\n      ansible_port: 0\n  vars:\n    ansible_user: root\n    ansible_port: 22\nall:\n  vars:\n    ansible_user: nobody\n    region: north\n",
        ),
        ("host_vars/w1.yml", "\nansible_port: 2222\n"),
    ]);
    let inventory = try_load(&directory, &["hosts.yml"]).unwrap().inventory;
    let all: Vec<_> = inventory.hosts().collect();
    let none = Overrides::default();
    assert_snapshot!(command::list(&inventory, &all, &none, InventoryFormat::Table), @r##"
    NAME  ADDRESS             ROLE           GROUPS
    cp1   local               control-plane  control_plane
    w1    root@10.0.0.7:2222  worker         workers
    w2    root@10.0.0.7:22    worker         workers
    bad   unusable            worker         workers

    bad: port (ansible_port of the host, hosts.yml:10:21) is "0", but must be a number from 1 to 65535
    "##);
    assert_snapshot!(command::list(&inventory, &all[..2], &none, InventoryFormat::Name), @r##"
    cp1
    w1
    "##);
    assert_snapshot!(command::list(&inventory, &all[1..2], &none, InventoryFormat::Json), @r##"
    {
      "schema": 1,
      "hosts": [
        {
          "name": "w1",
          "connection": "ssh",
          "address": "10.0.0.7",
          "port": 2222,
          "user": "root",
          "role": "worker",
          "groups": [
            "workers"
          ]
        }
      ]
    }
    "##);
    assert_snapshot!(command::list(&inventory, &all[..1], &none, InventoryFormat::Yaml), @r##"
    schema: 1
    hosts:
    - name: cp1
      connection: local
      role: control-plane
      groups:
      - control_plane
    "##);
    assert_snapshot!(command::graph(&inventory, &all[..3]), @r##"
    @all:
      |--@control_plane:
      |  |--cp1
      |--@workers:
      |  |--w1
      |  |--w2
    "##);
    let w1 = inventory.host("w1").unwrap();
    assert_snapshot!(command::explain(&inventory, w1, &none, InventoryFormat::Table), @r##"
    w1
      role    worker
      groups  workers

    settings
      connection  ssh       (default: nobody says otherwise)
      address     10.0.0.7  (ansible_host of the host, hosts.yml:8:21)
      port        2222      (ansible_port of the host, host_vars/w1.yml:2:15)
        shadows   22        (ansible_port of group workers, hosts.yml:13:19)
      user        root      (ansible_user of group workers, hosts.yml:12:19)
        shadows   nobody    (ansible_user of group all, hosts.yml:16:19)
      sudo        no        (default: nobody says otherwise)

    other variables
      region  north  (region of group all, hosts.yml:17:13)
    "##);
    let overrides = Overrides { user: Some(Told { value: "me".to_owned(), origin: Origin::Flag("--user") }), ..none };
    let json: serde_json::Value =
        serde_json::from_str(&command::explain(&inventory, w1, &overrides, InventoryFormat::Json)).unwrap();
    let user = json["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "user").unwrap();
    assert_eq!((user["value"].as_str(), user["origin"].as_str()), (Some("me"), Some("flag --user")));
    assert_eq!(user["shadowed"].as_array().unwrap().len(), 2);
}

#[test]
fn the_shipped_example_means_what_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory.example.yaml");
    let Loaded { inventory, warnings } =
        load::load(&[Source::Path(path)], &surroundings(Path::new("/work")), &mut std::io::empty()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(inventory.hosts().len(), 2 + 1 + 40 + 40 + 1);
    for host in inventory.hosts() {
        let target = inventory.target(host, &Overrides::default()).unwrap();
        let wanted = if target.name.starts_with("cp") { Role::ControlPlane } else { Role::Worker };
        assert_eq!((target.role, target.sudo.unwrap().user.as_str()), (Some(wanted), "root"), "{}", target.name);
    }
    assert!(matches!(target(&inventory, "cp1").unwrap().via, Via::Local));
    assert_eq!(ssh(&inventory, "edge1.example.net").port, Some(2222));
    let node = ssh(&inventory, "node007");
    assert_eq!((node.user.as_deref(), node.jump.as_deref()), (Some("admin"), Some("jump@bastion.example.net")));
    assert_eq!(node.options.len(), 2);
    let storage = ssh(&inventory, "storage1");
    assert_eq!((storage.host.as_deref(), storage.port), (Some("2001:db8::51"), Some(2200)));
    assert_eq!(groups_of(&inventory, "storage1"), ["rack_b", "storage", "workers"]);
    for (argument, count) in
        [("workers", 82), ("node*:&rack_a:!node007", 39), ("node[001-010]", 10), ("rack_a[0:4]", 5)]
    {
        assert_eq!(limit(&inventory, &[argument]).unwrap().len(), count, "{argument}");
    }
}

#[test]
fn nothing_that_an_inventory_says_acts_on_a_terminal() {
    let odd = "x\\x7f\\x9b31m\\u202e\\uFEFF";
    let inventory = try_text(&format!(
        "web:\n  vars: {{ \"ansible_{odd}\": \"{odd}\", ansible_user: \"{odd}\" }}\n  hosts: {{ \"h\\u202e\": , b: {{ansible_port: \"{odd}\"}} }}\n  \
         children: {{ \"g\\u202e\": }}\n"
    ));
    let inventory = inventory.unwrap().inventory;
    let (hosts, none): (Vec<_>, _) = (inventory.hosts().collect(), Overrides::default());
    let mut texts = vec![command::graph(&inventory, &hosts)];
    for format in [InventoryFormat::Table, InventoryFormat::Json, InventoryFormat::Yaml] {
        texts.push(command::list(&inventory, &hosts, &none, format));
        texts.extend(hosts.iter().map(|host| command::explain(&inventory, *host, &none, format)));
    }
    for text in texts {
        let leak = text.chars().find(|&c| (c.is_control() && c != '\n') || seaworthy::text::is_deceptive(c));
        assert_eq!(leak, None, "{text}");
    }
}
