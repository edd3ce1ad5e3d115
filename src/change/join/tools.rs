//! The same questions through programs on the node, where its sshd does not forward: `curl`, or `openssl`. What they print is read
//! into what a visit would have seen. Sources: curl(1) EXIT CODES, openssl-s_client(1).

use crate::reach::capture::{ApiCapture, Dial, Origin, ReachCapture, Tls, Verified};
use crate::reach::cluster_info::{self, PATH};
use crate::reach::http::{self, Response};
use crate::reach::{Call, Endpoint};

/// Seconds for each of its questions.
pub(super) const SECONDS: u64 = 10;

/// What a command says when its program is not there: a status that neither program has.
pub(super) const NO_PROGRAM: i32 = 97;

/// `host:port`, with brackets around an address that needs them. Of an [`Endpoint`], so that no shell sees anything in it.
fn place(endpoint: &Endpoint) -> String {
    let Endpoint { host, port, .. } = endpoint;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Asks for cluster-info as anybody, whoever answers.
pub(super) fn curl(endpoint: &Endpoint) -> String {
    format!(
        "command -v curl >/dev/null 2>&1 || exit {NO_PROGRAM}; \
         curl -q -sSk --noproxy '*' --max-time {SECONDS} -w '\\n%{{http_code}}' 'https://{}{PATH}'",
        place(endpoint)
    )
}

/// Verifies the server by the CAs on its standard input: names, dates by the node's clock, and signatures. Through a pipe, because
/// sshd's own input may be a socket, which cannot be opened by name.
pub(super) fn curl_verifying(endpoint: &Endpoint) -> String {
    format!(
        "cat | curl -q -sS --noproxy '*' --max-time {SECONDS} --cacert /dev/stdin -o /dev/null 'https://{}/version'",
        place(endpoint)
    )
}

/// Speaks TLS with whoever answers, and shows the chain.
pub(super) fn openssl_chain(endpoint: &Endpoint) -> String {
    format!(
        "command -v openssl >/dev/null 2>&1 || exit {NO_PROGRAM}; openssl s_client {} -showcerts </dev/null 2>&1",
        openssl_place(endpoint)
    )
}

/// Asks whoever answers; the request is its standard input. A call of its own: with the chain, words of its own stand amid the
/// answer.
pub(super) fn openssl_ask(endpoint: &Endpoint) -> String {
    format!("openssl s_client {} -quiet 2>/dev/null", openssl_place(endpoint))
}

fn openssl_place(endpoint: &Endpoint) -> String {
    let name = match endpoint.address() {
        Some(_) => "-noservername".to_owned(),
        None => format!("-servername {}", endpoint.host),
    };
    format!("-connect '{}' {name}", place(endpoint))
}

/// What [`openssl_ask`] sends.
pub(super) fn request(endpoint: &Endpoint) -> String {
    format!("GET {PATH} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n", place(endpoint))
}

/// Reads the answer of [`curl`].
pub(super) fn curled(endpoint: &Endpoint, code: i32, stdout: &str, stderr: &str) -> Call {
    let words = super::short(stderr.rsplit("curl: ").next().unwrap_or_default());
    let answer = || {
        let (body, status) = stdout.rsplit_once('\n')?;
        Some(Response { status: status.trim().parse().ok()?, body: body.as_bytes().to_vec(), ms: 0 })
    };
    match code {
        0 => seen(endpoint, Dial::Open { ms: 0 }, None, Some(answer().ok_or_else(|| "no answer".to_owned()))),
        6 => seen(endpoint, Dial::Failed { ms: 0, words: format!("the name does not resolve: {words}") }, None, None),
        7 => seen(endpoint, Dial::Failed { ms: 0, words }, None, None),
        28 => seen(endpoint, Dial::Silent { ms: SECONDS * 1000 }, None, None),
        35 => seen(endpoint, Dial::Open { ms: 0 }, Some(Tls::Failed { words }), None),
        _ => seen(endpoint, Dial::Open { ms: 0 }, None, Some(Err(words))),
    }
}

/// Reads the answer of [`curl_verifying`]; `None` when it says nothing on the certificate.
pub(super) fn verified(code: i32, stderr: &str) -> Option<Verified> {
    let words = super::short(stderr.rsplit("curl: ").next().unwrap_or_default());
    let says = |needles: &[&str]| needles.iter().any(|needle| words.contains(needle));
    match code {
        0 => Some(Verified::Holds),
        51 => Some(Verified::Name { words }),
        60 | 35 if says(&["subject name", "does not match", "IP address"]) => Some(Verified::Name { words }),
        60 | 35 if says(&["expired", "not yet valid"]) => Some(Verified::Dates { words }),
        60 => Some(Verified::Issuer { words }),
        _ => None,
    }
}

/// Reads what [`openssl_chain`] and [`openssl_ask`] printed.
pub(super) fn shown(endpoint: &Endpoint, stdout: &str, answer: &str) -> Call {
    let chain = pem_blocks(stdout);
    if chain.is_empty() {
        let line = stdout.lines().map(str::trim).find(|line| {
            ["connect:", "getaddrinfo", "BIO_lookup", "Connection", "refused", "route"]
                .iter()
                .any(|sign| line.contains(sign))
        });
        let words = super::short(line.unwrap_or("no connection"));
        return if stdout.contains("CONNECTED(") {
            seen(
                endpoint,
                Dial::Open { ms: 0 },
                Some(Tls::Failed { words: "no certificate was shown".to_owned() }),
                None,
            )
        } else {
            seen(endpoint, Dial::Failed { ms: 0, words }, None, None)
        };
    }
    let answer = answer.find("HTTP/1.").and_then(|at| answer.get(at..));
    let answer = answer.ok_or_else(|| "no answer".to_owned()).and_then(|answer| {
        let (status, body) = http::parse(answer.as_bytes())?;
        Ok(Response { status, body, ms: 0 })
    });
    seen(endpoint, Dial::Open { ms: 0 }, Some(Tls::Done { ms: 0, chain }), Some(answer))
}

fn pem_blocks(text: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines().map(str::trim_end) {
        inside |= line == "-----BEGIN CERTIFICATE-----";
        if inside {
            out.push_str(line);
            out.push('\n');
        }
        inside &= line != "-----END CERTIFICATE-----";
    }
    out
}

fn seen(endpoint: &Endpoint, dial: Dial, tls: Option<Tls>, answer: Option<Result<Response, String>>) -> Call {
    let (cluster_info, signed) = match answer.map(cluster_info::read) {
        Some((info, signed)) => (Some(info), signed),
        None => (None, None),
    };
    let (origin, endpoint) = (Origin::Inventory, endpoint.written.clone());
    let api = ApiCapture { origin, endpoint, dial, tls, cluster_info, verified: None };
    Call { capture: ReachCapture { apis: vec![api], ..ReachCapture::default() }, signed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::capture::ClusterInfo;

    const BODY: &str =
        r#"{"kind":"ConfigMap","data":{"kubeconfig":"clusters: []\n","jws-kubeconfig-abcdef":"e30..sig"}}"#;

    fn endpoint(written: &str) -> Endpoint {
        Endpoint::parse(written).unwrap()
    }

    fn api(call: &Call) -> &ApiCapture {
        &call.capture.apis[0]
    }

    #[test]
    fn addresses_get_brackets_and_no_name() {
        let v6 = endpoint("[2001:db8::1]:6443");
        assert!(curl(&v6).contains("'https://[2001:db8::1]:6443/api/"));
        assert!(openssl_chain(&v6).contains("'[2001:db8::1]:6443' -noservername"));
        assert!(openssl_ask(&endpoint("lb:7443")).contains("-connect 'lb:7443' -servername lb "));
        assert!(
            request(&endpoint("lb:7443"))
                .starts_with("GET /api/v1/namespaces/kube-public/configmaps/cluster-info HTTP/1.1\r\n")
        );
    }

    #[test]
    fn what_curl_says_is_what_a_visit_would_have_seen() {
        let lb = endpoint("lb:6443");
        let read = curled(&lb, 0, &format!("{BODY}\n200"), "");
        assert!(matches!(api(&read).cluster_info, Some(ClusterInfo::Read { .. })));
        assert!(read.signed.is_some_and(|signed| signed.signatures.contains_key("abcdef")));
        let refused = curled(&lb, 0, "{\"message\":\"no\"}\n403", "");
        assert!(matches!(api(&refused).cluster_info, Some(ClusterInfo::Refused { status: 403, .. })));
        let failed = curled(&lb, 7, "\n000", "curl: (7) Failed to connect to lb port 6443: Connection refused");
        assert!(matches!(&api(&failed).dial, Dial::Failed { words, .. } if words.contains("refused")));
        assert!(matches!(api(&curled(&lb, 28, "\n000", "curl: (28) timed out")).dial, Dial::Silent { .. }));
        assert!(matches!(api(&curled(&lb, 35, "", "curl: (35) wrong version number")).tls, Some(Tls::Failed { .. })));
    }

    #[test]
    fn curls_verdict_on_a_certificate() {
        assert_eq!(verified(0, ""), Some(Verified::Holds));
        let name = "curl: (60) SSL: no alternative certificate subject name matches target host name 'lb'";
        assert!(matches!(verified(60, name), Some(Verified::Name { .. })));
        let dates = "curl: (60) SSL certificate problem: certificate has expired";
        assert!(matches!(verified(60, dates), Some(Verified::Dates { .. })));
        let issuer = "curl: (60) SSL certificate problem: unable to get local issuer certificate";
        assert!(matches!(verified(60, issuer), Some(Verified::Issuer { .. })));
        assert_eq!(verified(77, "curl: (77) error setting certificate verify locations"), None);
    }

    #[test]
    fn what_openssl_shows_has_chain_and_answer() {
        let text = "CONNECTED(00000003)\ndepth=0 CN = kube-apiserver\n---\nCertificate chain\n 0 s:CN = x\n-----BEGIN CERTIFICATE-----\n\
                    AAAA\n-----END CERTIFICATE-----\n---\nServer certificate\nsubject=CN = x\n---\nread R BLOCK\nclosed\n";
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
        let lb = endpoint("lb:6443");
        let call = shown(&lb, text, &answer);
        let chain = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        assert_eq!(api(&call).tls, Some(Tls::Done { ms: 0, chain }));
        assert!(matches!(api(&call).cluster_info, Some(ClusterInfo::Read { .. })));
        let refused =
            shown(&lb, "40:error:8000006F:system library:BIO_connect:Connection refused\nconnect:errno=111\n", "");
        assert!(matches!(&api(&refused).dial, Dial::Failed { words, .. } if words.contains("refused")));
        assert!(matches!(
            api(&shown(&lb, "CONNECTED(00000003)\nno peer certificate available\n", "")).tls,
            Some(Tls::Failed { .. })
        ));
    }
}
