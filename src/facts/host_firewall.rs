//! Which ports firewalld's zones and ufw's rules let in. Texts in, ports out.

/// What other nodes connect to: the kubelet, flannel's VXLAN, and on a control plane the API.
pub(super) const NEEDED: [(u16, &str); 3] = [(10250, "tcp"), (8472, "udp"), (6443, "tcp")];

/// Services of firewalld that open one of them.
const SERVICES: &[(&str, &[u16])] = &[
    ("kube-apiserver", &[6443]),
    ("kube-api", &[6443]),
    ("kube-control-plane", &[6443, 10250]),
    ("kube-control-plane-secure", &[6443, 10250]),
    ("kubelet", &[10250]),
    ("kubelet-worker", &[10250]),
    ("kube-worker", &[10250]),
];

/// A setting of `firewall-cmd --list-all`.
pub(super) fn setting<'t>(zone: &'t str, name: &str) -> Option<&'t str> {
    zone.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Of [`NEEDED`], those that no active zone lets in. From where a zone's packets come is not looked at.
pub(super) fn closed_by_firewalld(zones: &[&str]) -> Vec<String> {
    closed(|port, kind| zones.iter().any(|zone| zone_opens(zone, port, kind)))
}

/// Interfaces that packets of pods come through.
const OF_PODS: [&str; 2] = ["cni0", "flannel.1"];

/// Of the pod network's interfaces, those that no zone with the target ACCEPT has. Such a zone may also name a network
/// instead, which is taken to be that of the pods.
pub(super) fn untrusted(zones: &[&str]) -> Vec<String> {
    let trusted = zones.iter().filter(|zone| setting(zone, "target") == Some("ACCEPT"));
    let names = |zone: &str, name: &str| {
        let has = |what: &str| setting(zone, what).unwrap_or_default().to_owned();
        has("interfaces").split_whitespace().any(|own| own == name) || !has("sources").is_empty()
    };
    let untrusted = OF_PODS.into_iter().filter(|name| !trusted.clone().any(|zone| names(zone, name)));
    untrusted.map(str::to_owned).collect()
}

/// Of [`NEEDED`], those that no rule lets in. A rule is `allow tcp 10250 0.0.0.0/0 any 192.168.4.0/24 in`: action, protocol,
/// port, destination, source port, source, direction.
pub(super) fn closed_by_ufw(rules: &[String]) -> Vec<String> {
    closed(|port, kind| {
        rules.iter().any(|rule| {
            let words: Vec<&str> = rule.split_whitespace().collect();
            let [action, protocol, ports, _, _, _, direction, ..] = words[..] else { return false };
            matches!(action, "allow" | "limit" | "allow_log" | "limit_log")
                && (protocol == "any" || protocol == kind)
                && direction.starts_with("in")
                && (ports == "any" || ports.split(',').any(|range| holds(range, ':', port)))
        })
    })
}

fn closed(opens: impl Fn(u16, &str) -> bool) -> Vec<String> {
    let closed = NEEDED.into_iter().filter(|(port, kind)| !opens(*port, kind));
    closed.map(|(port, kind)| format!("{port}/{kind}")).collect()
}

fn zone_opens(zone: &str, port: u16, kind: &str) -> bool {
    if setting(zone, "target") == Some("ACCEPT") {
        return true;
    }
    let words = |name: &str| setting(zone, name).unwrap_or_default().split_whitespace();
    let by_port =
        words("ports").any(|open| open.split_once('/').is_some_and(|(range, k)| k == kind && holds(range, '-', port)));
    let by_service =
        words("services").any(|name| SERVICES.iter().any(|(known, ports)| *known == name && ports.contains(&port)));
    // A rich rule may say anything; one that accepts and names the port, or no port at all, is taken to open it.
    let number = format!("port=\"{port}\"");
    let by_rule = zone.lines().map(str::trim).any(|line| {
        line.starts_with("rule ")
            && line.contains("accept")
            && (line.contains(&number) || !(line.contains("port=") || line.contains("service name=")))
    });
    by_port || by_service || by_rule
}

fn holds(range: &str, dash: char, port: u16) -> bool {
    let (from, to) = range.split_once(dash).unwrap_or((range, range));
    matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(from), Ok(to)) if (from..=to).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_firewalld() {
        let closed = |zone: &str| closed_by_firewalld(&[zone]).join(" ");
        assert_eq!(closed("public (active)\n  target: default\n  ports: 22/tcp\n"), "10250/tcp 8472/udp 6443/tcp");
        assert_eq!(closed("trusted (active)\n  target: ACCEPT\n"), "");
        assert_eq!(closed("  services: ssh kubelet\n  ports: 8000-9000/udp 6443/udp\n"), "6443/tcp");
        let rich = "  rich rules: \n\trule family=\"ipv4\" source address=\"192.168.4.0/24\" accept\n";
        assert_eq!(closed(rich), "");
        let rich = "  rich rules: \n\trule family=\"ipv4\" port port=\"10250\" protocol=\"tcp\" accept\n";
        assert_eq!(closed(rich), "8472/udp 6443/tcp");
        assert_eq!(closed_by_firewalld(&["  ports: 10250/tcp\n", "  ports: 8472/udp 6443/tcp\n"]), [""; 0]);
    }

    #[test]
    fn rules_of_ufw() {
        let closed =
            |rules: &[&str]| closed_by_ufw(&rules.iter().map(|&rule| rule.to_owned()).collect::<Vec<_>>()).join(" ");
        assert_eq!(closed(&[]), "10250/tcp 8472/udp 6443/tcp");
        assert_eq!(closed(&["allow any any 0.0.0.0/0 any 192.168.4.0/24 in"]), "");
        assert_eq!(closed(&["allow tcp 6443,10250:10259 0.0.0.0/0 any 0.0.0.0/0 in_eth0"]), "8472/udp");
        assert_eq!(
            closed(&["deny any any 0.0.0.0/0 any 0.0.0.0/0 in", "allow tcp 6443 0.0.0.0/0 any 0.0.0.0/0 out"]),
            "10250/tcp 8472/udp 6443/tcp"
        );
        assert_eq!(closed(&["allow", ""]), "10250/tcp 8472/udp 6443/tcp");
    }
}
