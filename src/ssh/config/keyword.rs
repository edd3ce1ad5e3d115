//! The keywords of `ssh_config(5)`: those that this program obeys, those that it may ignore, and all others.

/// A keyword that is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Keyword {
    AddressFamily,
    BindAddress,
    CanonicalizeHostname,
    CertificateFile,
    Ciphers,
    ConnectTimeout,
    GlobalKnownHostsFile,
    HashKnownHosts,
    HostKeyAlgorithms,
    HostKeyAlias,
    HostName,
    IdentitiesOnly,
    IdentityAgent,
    IdentityFile,
    IgnoreUnknown,
    KbdInteractiveAuthentication,
    KexAlgorithms,
    Macs,
    PasswordAuthentication,
    Port,
    PreferredAuthentications,
    ProxyCommand,
    ProxyJump,
    PubkeyAuthentication,
    ServerAliveInterval,
    StrictHostKeyChecking,
    Tag,
    User,
    UserKnownHostsFile,
}

/// How a keyword's value is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One word; the first that is said wins.
    Word,
    /// Several words; the first that is said wins.
    Words,
    /// One word; all that are said count.
    Collected,
    /// The rest of the line as it stands, quotes and `#` included.
    Line,
}

/// What is known about a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Obeyed(Keyword),
    /// ssh's, and without meaning for short commands over a connection of one's own.
    Ignored,
    Unknown,
}

impl Keyword {
    pub(super) const ALL: [Self; 29] = [
        Self::AddressFamily,
        Self::BindAddress,
        Self::CanonicalizeHostname,
        Self::CertificateFile,
        Self::Ciphers,
        Self::ConnectTimeout,
        Self::GlobalKnownHostsFile,
        Self::HashKnownHosts,
        Self::HostKeyAlgorithms,
        Self::HostKeyAlias,
        Self::HostName,
        Self::IdentitiesOnly,
        Self::IdentityAgent,
        Self::IdentityFile,
        Self::IgnoreUnknown,
        Self::KbdInteractiveAuthentication,
        Self::KexAlgorithms,
        Self::Macs,
        Self::PasswordAuthentication,
        Self::Port,
        Self::PreferredAuthentications,
        Self::ProxyCommand,
        Self::ProxyJump,
        Self::PubkeyAuthentication,
        Self::ServerAliveInterval,
        Self::StrictHostKeyChecking,
        Self::Tag,
        Self::User,
        Self::UserKnownHostsFile,
    ];

    /// As the manual writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddressFamily => "AddressFamily",
            Self::BindAddress => "BindAddress",
            Self::CanonicalizeHostname => "CanonicalizeHostname",
            Self::CertificateFile => "CertificateFile",
            Self::Ciphers => "Ciphers",
            Self::ConnectTimeout => "ConnectTimeout",
            Self::GlobalKnownHostsFile => "GlobalKnownHostsFile",
            Self::HashKnownHosts => "HashKnownHosts",
            Self::HostKeyAlgorithms => "HostKeyAlgorithms",
            Self::HostKeyAlias => "HostKeyAlias",
            Self::HostName => "HostName",
            Self::IdentitiesOnly => "IdentitiesOnly",
            Self::IdentityAgent => "IdentityAgent",
            Self::IdentityFile => "IdentityFile",
            Self::IgnoreUnknown => "IgnoreUnknown",
            Self::KbdInteractiveAuthentication => "KbdInteractiveAuthentication",
            Self::KexAlgorithms => "KexAlgorithms",
            Self::Macs => "MACs",
            Self::PasswordAuthentication => "PasswordAuthentication",
            Self::Port => "Port",
            Self::PreferredAuthentications => "PreferredAuthentications",
            Self::ProxyCommand => "ProxyCommand",
            Self::ProxyJump => "ProxyJump",
            Self::PubkeyAuthentication => "PubkeyAuthentication",
            Self::ServerAliveInterval => "ServerAliveInterval",
            Self::StrictHostKeyChecking => "StrictHostKeyChecking",
            Self::Tag => "Tag",
            Self::User => "User",
            Self::UserKnownHostsFile => "UserKnownHostsFile",
        }
    }

    pub(super) const fn shape(self) -> Shape {
        match self {
            Self::IdentityFile | Self::CertificateFile => Shape::Collected,
            Self::GlobalKnownHostsFile | Self::UserKnownHostsFile => Shape::Words,
            Self::ProxyCommand => Shape::Line,
            _ => Shape::Word,
        }
    }

    /// Whether the value names files, with tokens that ssh may print filled in.
    pub(super) const fn is_path(self) -> bool {
        matches!(
            self,
            Self::CertificateFile
                | Self::GlobalKnownHostsFile
                | Self::IdentityAgent
                | Self::IdentityFile
                | Self::UserKnownHostsFile
        )
    }

    /// Whether the value is a list of algorithms, which ssh prints in full where the user wrote `+name`.
    pub(super) const fn is_algorithms(self) -> bool {
        matches!(self, Self::Ciphers | Self::HostKeyAlgorithms | Self::KexAlgorithms | Self::Macs)
    }
}

/// Old names of keywords.
const ALIASES: [(&str, Keyword); 4] = [
    ("challengeresponseauthentication", Keyword::KbdInteractiveAuthentication),
    ("identityfile2", Keyword::IdentityFile),
    ("skeyauthentication", Keyword::KbdInteractiveAuthentication),
    ("tisauthentication", Keyword::KbdInteractiveAuthentication),
];

/// Keywords of OpenSSH (and of distributions' and Apple's builds) that are ignored without a word.
const IGNORED: &str = "addkeystoagent afstokenpassing batchmode bindinterface canonicaldomains canonicalizefallbacklocal \
    canonicalizemaxdots canonicalizepermittedcnames casignaturealgorithms channeltimeout checkhostip cipher clearallforwardings \
    compression compressionlevel connectionattempts controlmaster controlpath controlpersist dsaauthentication dynamicforward \
    enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fallbacktorsh fingerprinthash \
    forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile2 \
    gssapiauthentication gssapiclientidentity gssapidelegatecredentials gssapikeyexchange gssapikexalgorithms \
    gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hostbasedacceptedalgorithms hostbasedauthentication \
    hostbasedkeytypes ipqos kerberosauthentication kerberostgtpassing keepalive knownhostscommand localcommand localforward \
    loglevel logverbose nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming permitlocalcommand \
    permitremoteopen pkcs11provider protocol proxyusefdpass pubkeyacceptedalgorithms pubkeyacceptedkeytypes refuseconnection \
    rekeylimit remotecommand remoteforward requesttty requiredrsasize revokedhostkeys rhostsauthentication \
    rhostsrsaauthentication rsaauthentication securitykeyprovider sendenv serveralivecountmax sessiontype setenv \
    smartcarddevice stdinnull streamlocalbindmask streamlocalbindunlink syslogfacility tcpkeepalive tunnel tunneldevice \
    updatehostkeys usekeychain useprivilegedport useroaming usersh userknownhostsfile2 verifyhostkeydns versionaddendum \
    visualhostkey warnweakcrypto xauthlocation";

/// Looks a keyword up; case does not count.
pub(super) fn lookup(name: &str) -> Known {
    let lower = name.to_ascii_lowercase();
    if let Some(keyword) = Keyword::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(&lower)) {
        return Known::Obeyed(keyword);
    }
    match ALIASES.iter().find(|(alias, _)| *alias == lower) {
        Some((_, keyword)) => Known::Obeyed(*keyword),
        None if IGNORED.split_ascii_whitespace().any(|ignored| ignored == lower) => Known::Ignored,
        None => Known::Unknown,
    }
}
