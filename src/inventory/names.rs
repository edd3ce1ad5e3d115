//! The names that an inventory uses: variables that are honoured, variables of Ansible's that mean nothing here, groups that
//! tell a role. Data, and the search for the name that was probably meant.

use crate::target::Role;

/// A variable that is honoured. Old and new spellings of one setting are one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variable {
    Connection,
    Host,
    Port,
    User,
    KeyFile,
    Password,
    SshArgs,
    SshCommonArgs,
    SshExtraArgs,
    Become,
    BecomeUser,
    BecomeMethod,
    BecomePassword,
    /// Decides between groups of the same depth; only where the group itself is defined.
    GroupPriority,
}

/// Every spelling that is honoured.
const HONOURED: [(&str, Variable); 21] = [
    ("ansible_connection", Variable::Connection),
    ("ansible_host", Variable::Host),
    ("ansible_ssh_host", Variable::Host),
    ("ansible_port", Variable::Port),
    ("ansible_ssh_port", Variable::Port),
    ("ansible_user", Variable::User),
    ("ansible_ssh_user", Variable::User),
    ("ansible_ssh_private_key_file", Variable::KeyFile),
    ("ansible_private_key_file", Variable::KeyFile),
    ("ansible_password", Variable::Password),
    ("ansible_ssh_pass", Variable::Password),
    ("ansible_ssh_password", Variable::Password),
    ("ansible_ssh_args", Variable::SshArgs),
    ("ansible_ssh_common_args", Variable::SshCommonArgs),
    ("ansible_ssh_extra_args", Variable::SshExtraArgs),
    ("ansible_become", Variable::Become),
    ("ansible_become_user", Variable::BecomeUser),
    ("ansible_become_method", Variable::BecomeMethod),
    ("ansible_become_password", Variable::BecomePassword),
    ("ansible_become_pass", Variable::BecomePassword),
    ("ansible_group_priority", Variable::GroupPriority),
];

/// Variables that Ansible knows and that change nothing about how a node is read. Not worth a warning.
const IGNORED: [&str; 63] = [
    "ansible_async_dir",
    "ansible_become_exe",
    "ansible_become_flags",
    "ansible_check_mode",
    "ansible_command_timeout",
    "ansible_common_remote_group",
    "ansible_config_file",
    "ansible_connect_timeout",
    "ansible_control_path",
    "ansible_control_path_dir",
    "ansible_deprecation_warnings",
    "ansible_diff_mode",
    "ansible_distribution",
    "ansible_distribution_release",
    "ansible_distribution_version",
    "ansible_facts",
    "ansible_facts_modules",
    "ansible_forks",
    "ansible_host_key_checking",
    "ansible_hostname",
    "ansible_interpreter_python_fallback",
    "ansible_managed",
    "ansible_module_compression",
    "ansible_network_os",
    "ansible_no_target_syslog",
    "ansible_os_family",
    "ansible_persistent_command_timeout",
    "ansible_persistent_connect_timeout",
    "ansible_pipelining",
    "ansible_private_key",
    "ansible_private_key_passphrase",
    "ansible_python_module_rlimit_nofile",
    "ansible_remote_tmp",
    "ansible_remote_user",
    "ansible_rsync_path",
    "ansible_scp_executable",
    "ansible_scp_extra_args",
    "ansible_scp_if_ssh",
    "ansible_sftp_batch_mode",
    "ansible_sftp_executable",
    "ansible_sftp_extra_args",
    "ansible_shell_allow_world_readable_temp",
    "ansible_shell_executable",
    "ansible_shell_type",
    "ansible_ssh_executable",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_password_mechanism",
    "ansible_ssh_pipelining",
    "ansible_ssh_pkcs11_provider",
    "ansible_ssh_private_key",
    "ansible_ssh_private_key_passphrase",
    "ansible_ssh_retries",
    "ansible_ssh_timeout",
    "ansible_ssh_transfer_method",
    "ansible_ssh_use_tty",
    "ansible_ssh_verbosity",
    "ansible_sshpass_prompt",
    "ansible_system_tmpdirs",
    "ansible_target_log_info",
    "ansible_timeout",
    "ansible_user_dir",
    "ansible_user_id",
    "ansible_verbosity",
];

/// Families of Ansible's variables for transports and ways to become that are not used here.
const IGNORED_PREFIXES: [&str; 16] = [
    "ansible_docker_",
    "ansible_doas_",
    "ansible_httpapi_",
    "ansible_kubectl_",
    "ansible_libssh_",
    "ansible_local_",
    "ansible_netconf_",
    "ansible_paramiko_",
    "ansible_podman_",
    "ansible_psrp_",
    "ansible_runas_",
    "ansible_su_",
    "ansible_sudo_",
    "ansible_win_",
    "ansible_winrm_",
    "ansible_aws_ssm_",
];

/// Groups that make their hosts control-plane nodes. Compared in lower case, with `-` and `.` as `_`.
const CONTROL_PLANE_GROUPS: [&str; 15] = [
    "control_plane",
    "control_planes",
    "control_plane_nodes",
    "controlplane",
    "controlplanes",
    "k8s_control_plane",
    "k8s_master",
    "k8s_masters",
    "kube_control_plane",
    "kube_master",
    "kube_masters",
    "master",
    "master_nodes",
    "masters",
    "kubernetes_control_plane",
];

/// Groups that make their hosts workers, unless another one makes them control-plane nodes.
const WORKER_GROUPS: [&str; 15] = [
    "k8s_node",
    "k8s_nodes",
    "k8s_worker",
    "k8s_workers",
    "kube_node",
    "kube_nodes",
    "kube_worker",
    "kube_workers",
    "kubernetes_workers",
    "node",
    "nodes",
    "worker",
    "worker_nodes",
    "workers",
    "worker_node",
];

/// What is known about a variable's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The variable, and its spelling.
    Honoured(Variable, &'static str),
    /// Ansible's, without meaning here; or the user's own.
    Ignored,
    /// Starts like one of Ansible's or is nearly one: probably a mistake. The nearest right name, if one is near.
    Suspicious(Option<&'static str>),
}

/// Looks `name` up. Cheap for the user's own variables, which are the most.
pub fn variable(name: &str) -> Known {
    if let Some((spelling, variable)) = HONOURED.iter().find(|(spelling, _)| *spelling == name) {
        return Known::Honoured(*variable, spelling);
    }
    let ansible = name.starts_with("ansible_");
    if ansible
        && (IGNORED.binary_search(&name).is_ok()
            || IGNORED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || name.ends_with("_interpreter"))
    {
        return Known::Ignored;
    }
    let near = if looks_like_ansible(name) { nearest_variable(name) } else { None };
    if ansible || near.is_some() { Known::Suspicious(near) } else { Known::Ignored }
}

/// Only names that begin nearly like `ansible` are worth comparing: a user's `host` or `my_port` is no mistake.
fn looks_like_ansible(name: &str) -> bool {
    let head: String = name.chars().take(8).collect::<String>().to_lowercase();
    head.len() >= 7 && strsim::osa_distance(&head, "ansible_") <= 3
}

fn nearest_variable(name: &str) -> Option<&'static str> {
    let plain = name.to_lowercase().replace('-', "_");
    HONOURED
        .iter()
        .filter(|(spelling, _)| spelling.len().abs_diff(plain.len()) <= 3)
        .map(|(spelling, _)| (strsim::osa_distance(&plain, spelling), *spelling))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, spelling)| spelling)
}

/// The role that a group's name tells.
pub fn role_of_group(group: &str) -> Option<Role> {
    // Asked for every group of every host.
    let plain = |byte: u8| if matches!(byte, b'-' | b'.') { b'_' } else { byte.to_ascii_lowercase() };
    let is = |known: &&str| known.bytes().eq(group.bytes().map(plain));
    if CONTROL_PLANE_GROUPS.iter().any(is) {
        Some(Role::ControlPlane)
    } else if WORKER_GROUPS.iter().any(is) {
        Some(Role::Worker)
    } else {
        None
    }
}

/// Whether a variable of this name probably holds a secret, so that its value is never shown.
pub fn looks_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let file = ["_file", "_path", "_dir"].iter().any(|end| lower.ends_with(end));
    !file
        && lower.split(['_', '-', '.']).any(|word| {
            matches!(
                word,
                "pass" | "passwd" | "password" | "passphrase" | "secret" | "secrets" | "token" | "key" | "pw"
            )
        })
}

/// At most three of `names` that `wrong` was probably meant to be, the nearest first.
pub fn near<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let lower = wrong.to_lowercase();
    let reach = (lower.chars().count() / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = names
        .filter(|name| name.len().abs_diff(wrong.len()) <= reach * 2)
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= reach)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_where_they_are_searched() {
        assert!(IGNORED.is_sorted());
        for (spelling, _) in HONOURED {
            assert!(
                !IGNORED.contains(&spelling) && !IGNORED_PREFIXES.iter().any(|prefix| spelling.starts_with(prefix))
            );
        }
    }

    #[test]
    fn misspelt_variables_are_told_from_others() {
        for (name, known) in [
            ("ansible_host", Known::Honoured(Variable::Host, "ansible_host")),
            ("ansbile_host", Known::Suspicious(Some("ansible_host"))),
            ("ansible-host", Known::Suspicious(Some("ansible_host"))),
            ("Ansible_Port", Known::Suspicious(Some("ansible_port"))),
            ("ansible_ssh_private_keyfile", Known::Suspicious(Some("ansible_ssh_private_key_file"))),
            ("ansible_usr", Known::Suspicious(Some("ansible_user"))),
            ("ansible_frobnicate_all", Known::Suspicious(None)),
            ("ansible_python_interpreter", Known::Ignored),
            ("ansible_ruby_interpreter", Known::Ignored),
            ("ansible_winrm_transport", Known::Ignored),
            ("ansible_ssh_retries", Known::Ignored),
            ("host", Known::Ignored),
            ("my_port", Known::Ignored),
            ("possible_host", Known::Ignored),
            ("ansible", Known::Ignored),
        ] {
            assert_eq!(variable(name), known, "{name}");
        }
    }

    #[test]
    fn roles_come_from_whole_group_names() {
        for (group, role) in [
            ("control_plane", Some(Role::ControlPlane)),
            ("control-plane", Some(Role::ControlPlane)),
            ("ControlPlane", Some(Role::ControlPlane)),
            ("kube-master", Some(Role::ControlPlane)),
            ("kube_control_plane", Some(Role::ControlPlane)),
            ("kube-node", Some(Role::Worker)),
            ("workers", Some(Role::Worker)),
            ("monitoring_nodes", None),
            ("storage_nodes", None),
            ("all", None),
        ] {
            assert_eq!(role_of_group(group), role, "{group}");
        }
    }

    #[test]
    fn near_names_are_few_and_near() {
        let names = ["web1", "web2", "web3", "web4", "database"];
        assert_eq!(near("wbe1", names.into_iter()), ["web1"]);
        assert_eq!(near("web9", names.into_iter()).len(), 3);
        assert!(near("completely-different", names.into_iter()).is_empty());
    }
}
