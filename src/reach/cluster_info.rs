//! What a joining node asks first: the `ConfigMap` `cluster-info`, read by nobody in particular.
//!
//! Of its signatures only the ids of their tokens go into a capture. Who holds a token gets what they sign, and keeps it to
//! themselves: [`Signed`].

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::capture::ClusterInfo;
use super::http::Response;
use super::words;

pub(crate) const PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// More tokens than anybody has.
const MAX_TOKENS: usize = 256;
const MAX_KUBECONFIG: usize = 64 * 1024;
const MAX_JWS: usize = 1024;
const PREFIX: &str = "jws-kubeconfig-";

/// What the tokens of a cluster sign, and their signatures: in memory only, never in a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// Letter by letter as it was signed.
    pub kubeconfig: String,
    /// By the token's id: a JWS without its payload (`header..signature`).
    pub signatures: BTreeMap<String, String>,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("ids", &self.signatures.keys()).finish_non_exhaustive()
    }
}

impl Signed {
    /// Of a `ConfigMap`; `None` when it has no kubeconfig of a bearable size.
    fn of(data: &Map<String, Value>) -> Option<Self> {
        let kubeconfig = data.get("kubeconfig")?.as_str().filter(|text| text.len() <= MAX_KUBECONFIG)?.to_owned();
        let signatures = data.iter().filter_map(|(key, jws)| {
            let id = key.strip_prefix(PREFIX).filter(|id| is_token_id(id))?;
            Some((id.to_owned(), jws.as_str().filter(|jws| jws.len() <= MAX_JWS)?.to_owned()))
        });
        Some(Self { kubeconfig, signatures: signatures.take(MAX_TOKENS).collect() })
    }
}

/// Reads the answer to a request for [`PATH`]: what is kept, and what is only handed on.
pub(crate) fn read(answer: Result<Response, String>) -> (ClusterInfo, Option<Signed>) {
    let response = match answer {
        Ok(response) => response,
        Err(why) => return (ClusterInfo::Failed { words: words(&why, 200) }, None),
    };
    let document: Option<Value> = serde_json::from_slice(&response.body).ok();
    if response.status != 200 {
        let message = document.as_ref().and_then(|document| document.get("message")?.as_str());
        let body = String::from_utf8_lossy(&response.body);
        let words = words(message.unwrap_or(&body), 300);
        return (ClusterInfo::Refused { status: response.status, words }, None);
    }
    let data = document.as_ref().and_then(|document| document.get("data")?.as_object());
    let Some(data) = data else {
        return (ClusterInfo::Failed { words: "the answer is no ConfigMap".to_owned() }, None);
    };
    let ids = data.keys().filter_map(|key| key.strip_prefix(PREFIX)).filter(|id| is_token_id(id));
    let kubeconfig = data.get("kubeconfig").and_then(Value::as_str).filter(|text| text.len() <= MAX_KUBECONFIG);
    let kept = ClusterInfo::Read {
        ms: response.ms,
        token_ids: ids.take(MAX_TOKENS).map(str::to_owned).collect(),
        kubeconfig: kubeconfig.map(|text| crate::probe::redact::text(text).into_owned()),
    };
    (kept, Signed::of(data))
}

fn is_token_id(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> ClusterInfo {
        read(Ok(Response { status, body: body.as_bytes().to_vec(), ms: 3 })).0
    }

    #[test]
    fn ids_and_the_kubeconfig_are_taken_and_signatures_are_not() {
        let body = r#"{"kind":"ConfigMap","data":{"kubeconfig":"clusters: []\n","jws-kubeconfig-abcdef":"eyJ..sig",
            "jws-kubeconfig-0123456789":"eyJ..sig","other":"x"}}"#;
        let read = answered(200, body);
        let token_ids = vec!["abcdef".to_owned()];
        assert_eq!(read, ClusterInfo::Read { ms: 3, token_ids, kubeconfig: Some("clusters: []\n".to_owned()) });
        assert!(!format!("{read:?}").contains("sig"));
    }

    #[test]
    fn who_holds_a_token_gets_what_it_signs() {
        let body =
            r#"{"data":{"kubeconfig":"a: b\n","jws-kubeconfig-abcdef":"e30..sig","jws-kubeconfig-x":"e30..sig"}}"#;
        let (_, signed) = read(Ok(Response { status: 200, body: body.as_bytes().to_vec(), ms: 3 }));
        let signatures = BTreeMap::from([("abcdef".to_owned(), "e30..sig".to_owned())]);
        assert_eq!(signed, Some(Signed { kubeconfig: "a: b\n".to_owned(), signatures }));
        assert!(!format!("{signed:?}").contains("sig\""), "{signed:?}");
        assert_eq!(read(Err("x".to_owned())).1, None);
    }

    #[test]
    fn refusals_keep_the_servers_words() {
        let body = r#"{"kind":"Status","message":"configmaps \"cluster-info\" is forbidden:\n User \"system:anonymous\"","code":403}"#;
        let words = "configmaps \"cluster-info\" is forbidden: User \"system:anonymous\"".to_owned();
        assert_eq!(answered(403, body), ClusterInfo::Refused { status: 403, words });
        assert_eq!(
            answered(502, "Bad  Gateway"),
            ClusterInfo::Refused { status: 502, words: "Bad Gateway".to_owned() }
        );
        assert!(matches!(answered(200, "<html>"), ClusterInfo::Failed { .. }));
        assert!(matches!(answered(200, "{\"data\":[]}"), ClusterInfo::Failed { .. }));
    }
}
