//! What is asked and done on the control plane for one joining node: tokens, its Node object, its request for a certificate, its
//! pods. Output is read as text for people where that is the same in every version of kubectl.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::machine::Machine;
use super::token::{self, Made};
use crate::change::hand::{HandError, Ran};

const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s";
const DEADLINE: Duration = Duration::from_secs(30);
/// kubeadm waits for the API server by itself.
const KUBEADM_DEADLINE: Duration = Duration::from_secs(90);

/// The cluster, through its control plane of the run.
pub(super) struct Cluster<'m, 'a>(pub(super) &'m Machine<'a>);

/// Why the cluster did not do or say something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unanswered {
    /// A fragment.
    pub(super) why: String,
    pub(super) next: String,
}

/// The Node object of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeObject {
    Absent,
    /// With kubectl's word on it: `NotReady,SchedulingDisabled`.
    There {
        ready: bool,
        status: String,
    },
}

/// A pod that would be lost with its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    /// `namespace/name`
    pub(super) name: String,
    /// A `DaemonSet`'s, a static one, or one that has ended.
    pub(super) stays_behind: bool,
}

impl Cluster<'_, '_> {
    /// Makes a token for a node of a run.
    pub(super) async fn make_token(&self, run: &str, node: &str) -> Result<Made, Unanswered> {
        let command = token::create(run, node);
        // Not again after a lost connection: what was made then is found by its description.
        let ran = self.0.hand().run_for_secret(&command, KUBEADM_DEADLINE).await.map_err(|error| unanswered(&error))?;
        if ran.code != 0 {
            let (why, next) = token::refusal(ran.code, &ran.stderr);
            return Err(Unanswered { why, next });
        }
        token::made(ran.stdout.expose_secret()).map_err(|why| Unanswered {
            why: format!("no token could be made on the control plane: {why}"),
            next: "run kubeadm token create --print-join-command on the control plane, and compare".to_owned(),
        })
    }

    /// Deletes a token; one that is not there any more counts as deleted.
    pub(super) async fn delete_token(&self, id: &str) -> Result<(), Unanswered> {
        let Some(command) = token::delete(id) else { return Ok(()) };
        let ran = self.run(&command, KUBEADM_DEADLINE).await?;
        if token::is_deleted(ran.code, &ran.stderr) { Ok(()) } else { Err(failed("kubeadm token delete", &ran)) }
    }

    /// The ids of the run's tokens, for one node or for all.
    pub(super) async fn tokens_of(&self, run: &str, node: Option<&str>) -> Result<Vec<String>, Unanswered> {
        let ran = self.run(token::LIST, KUBEADM_DEADLINE).await?;
        if ran.code != 0 {
            return Err(failed("kubeadm token list", &ran));
        }
        Ok(token::of_this_run(&ran.stdout, run, node))
    }

    pub(super) async fn node(&self, name: &str) -> Result<NodeObject, Unanswered> {
        let ran = self.run(&format!("{KUBECTL} get node {} --no-headers", word(name)), DEADLINE).await?;
        node_object(&ran)
    }

    /// Why it is not Ready, in the kubelet's words.
    pub(super) async fn not_ready_because(&self, name: &str) -> Option<String> {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].message}";
        let ran = self.run(&format!("{KUBECTL} get node {} -o '{path}'", word(name)), DEADLINE).await.ok()?;
        let said = super::short(&ran.stdout);
        (ran.code == 0 && !said.is_empty()).then_some(said)
    }

    pub(super) async fn delete_node(&self, name: &str) -> Result<(), Unanswered> {
        let ran = self.run(&format!("{KUBECTL} delete node {} --wait=false", word(name)), DEADLINE).await?;
        if ran.code == 0 || ran.stderr.contains("NotFound") { Ok(()) } else { Err(failed("kubectl delete node", &ran)) }
    }

    /// The name of a request for a certificate that came with this token and was denied.
    pub(super) async fn denied_csr(&self, token_id: &str) -> Option<String> {
        let path = "jsonpath={range .items[*]}{.spec.username}{\" \"}{.metadata.name}{\" \"}\
                    {range .status.conditions[*]}{.type}{\",\"}{end}{\"\\n\"}{end}";
        let ran = self.run(&format!("{KUBECTL} get csr -o '{path}'"), DEADLINE).await.ok()?;
        if ran.code == 0 { denied(&ran.stdout, token_id) } else { None }
    }

    pub(super) async fn pods(&self, node: &str) -> Result<Vec<Pod>, Unanswered> {
        let path = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{\" \"}{.status.phase}{\" \"}\
                    {.metadata.ownerReferences[*].kind}{\" \"}{.metadata.annotations.kubernetes\\.io/config\\.mirror}{\"\\n\"}{end}";
        let selector = format!("spec.nodeName={}", word(node));
        let ran = self.run(&format!("{KUBECTL} get pods -A --field-selector {selector} -o '{path}'"), DEADLINE).await?;
        if ran.code != 0 {
            return Err(failed("kubectl get pods", &ran));
        }
        Ok(ran.stdout.lines().filter_map(pod).collect())
    }

    /// For what may be done twice.
    async fn run(&self, command: &str, deadline: Duration) -> Result<Ran, Unanswered> {
        self.0.run(command, deadline).await.map_err(|error| unanswered(&error))
    }
}

/// A Node's name in a command: what a name can have.
fn word(name: &str) -> String {
    name.chars().filter(|char| char.is_ascii_alphanumeric() || ".-".contains(*char)).collect()
}

fn unanswered(error: &HandError) -> Unanswered {
    Unanswered {
        why: format!("the control plane: {}", super::short(&error.to_string())),
        next: "look at the control plane's connection, then go on with --resume".to_owned(),
    }
}

fn failed(what: &str, ran: &Ran) -> Unanswered {
    let said = ran.stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    Unanswered {
        why: format!("{what} failed on the control plane: {}", super::short(said)),
        next: "look at the API server on the control plane: kubectl get --raw /readyz?verbose".to_owned(),
    }
}

fn node_object(ran: &Ran) -> Result<NodeObject, Unanswered> {
    if ran.code != 0 {
        return if ran.stderr.contains("NotFound") {
            Ok(NodeObject::Absent)
        } else {
            Err(failed("kubectl get node", ran))
        };
    }
    // NAME STATUS ROLES AGE VERSION
    let Some(status) = ran.stdout.lines().find_map(|line| line.split_whitespace().nth(1)) else {
        return Ok(NodeObject::Absent);
    };
    Ok(NodeObject::There { ready: status.split(',').any(|word| word == "Ready"), status: super::short(status) })
}

fn denied(listed: &str, token_id: &str) -> Option<String> {
    let user = format!("system:bootstrap:{token_id}");
    listed.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (who, name, conditions) = (words.next()?, words.next()?, words.next()?);
        let over = conditions.split(',').any(|condition| matches!(condition, "Denied" | "Failed"));
        (who == user && over).then(|| super::short(name))
    })
}

fn pod(line: &str) -> Option<Pod> {
    let mut words = line.split(' ');
    let name = words.next().filter(|name| name.contains('/'))?;
    let phase = words.next().unwrap_or_default();
    // The owners' kinds, and a mirror's hash.
    let rest: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is_static =
        rest.iter().any(|word| *word == "Node" || (word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit())));
    let stays_behind = rest.contains(&"DaemonSet") || is_static || matches!(phase, "Succeeded" | "Failed");
    Some(Pod { name: super::short(name), stays_behind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(code: i32, stdout: &str, stderr: &str) -> Ran {
        Ran { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn nodes_as_kubectl_prints_them() {
        let there = |ready, status: &str| Ok(NodeObject::There { ready, status: status.to_owned() });
        assert_eq!(node_object(&ran(0, "w1   Ready   <none>   1m   v1.29.15\n", "")), there(true, "Ready"));
        assert_eq!(
            node_object(&ran(0, "w1   NotReady,SchedulingDisabled   <none>   1m   v\n", "")),
            there(false, "NotReady,SchedulingDisabled")
        );
        let missing = ran(1, "", "Error from server (NotFound): nodes \"w1\" not found\n");
        assert_eq!(node_object(&missing), Ok(NodeObject::Absent));
        let down = ran(1, "", "The connection to the server 192.0.2.1:6443 was refused\n");
        assert!(node_object(&down).is_err_and(|error| error.why.contains("was refused")));
    }

    #[test]
    fn only_this_tokens_denial_counts() {
        let listed = "system:bootstrap:ghijkl csr-1 Denied,\nsystem:bootstrap:abcdef csr-2 Approved,\nsystem:bootstrap:abcdef csr-3 \n";
        assert_eq!(denied(listed, "abcdef"), None);
        assert_eq!(
            denied(&format!("{listed}system:bootstrap:abcdef csr-4 Denied,\n"), "abcdef"),
            Some("csr-4".to_owned())
        );
        assert_eq!(
            denied(&format!("{listed}system:bootstrap:abcdef csr-5 Approved,Failed,\n"), "abcdef"),
            Some("csr-5".to_owned())
        );
    }

    #[test]
    fn pods_that_would_be_lost() {
        for (line, stays_behind) in [
            ("kube-system/kube-proxy-x Running DaemonSet ", true),
            ("kube-system/etcd-m Running Node 0123456789abcdef0123456789abcdef", true),
            ("default/job-1 Succeeded Job ", true),
            ("default/web-1 Running ReplicaSet ", false),
            ("default/bare Running  ", false),
            ("default/waiting Pending StatefulSet ", false),
        ] {
            assert_eq!(pod(line).map(|pod| pod.stays_behind), Some(stays_behind), "{line}");
        }
        assert_eq!(pod(""), None);
    }

    #[test]
    fn names_do_not_get_into_a_command() {
        assert_eq!(word("w1.example; rm -rf /"), "w1.examplerm-rf");
    }
}
