//! What a joining node asks first: the `ConfigMap` `cluster-info`, read by nobody in particular.
//!
//! Of its signatures only the ids of their tokens are taken.

use serde_json::Value;

use super::capture::ClusterInfo;
use super::http::Response;
use super::words;

pub(super) const PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// More tokens than anybody has.
const MAX_TOKENS: usize = 256;
const MAX_KUBECONFIG: usize = 64 * 1024;

/// Reads the answer to a request for [`PATH`].
pub(super) fn read(answer: Result<Response, String>) -> ClusterInfo {
    let response = match answer {
        Ok(response) => response,
        Err(why) => return ClusterInfo::Failed { words: words(&why, 200) },
    };
    let document: Option<Value> = serde_json::from_slice(&response.body).ok();
    if response.status != 200 {
        let message = document.as_ref().and_then(|document| document.get("message")?.as_str());
        let body = String::from_utf8_lossy(&response.body);
        return ClusterInfo::Refused { status: response.status, words: words(message.unwrap_or(&body), 300) };
    }
    let data = document.as_ref().and_then(|document| document.get("data")?.as_object());
    let Some(data) = data else {
        return ClusterInfo::Failed { words: "the answer is no ConfigMap".to_owned() };
    };
    let ids = data.keys().filter_map(|key| key.strip_prefix("jws-kubeconfig-")).filter(|id| is_token_id(id));
    let kubeconfig = data.get("kubeconfig").and_then(Value::as_str).filter(|text| text.len() <= MAX_KUBECONFIG);
    ClusterInfo::Read {
        ms: response.ms,
        token_ids: ids.take(MAX_TOKENS).map(str::to_owned).collect(),
        kubeconfig: kubeconfig.map(|text| crate::probe::redact::text(text).into_owned()),
    }
}

fn is_token_id(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> ClusterInfo {
        read(Ok(Response { status, body: body.as_bytes().to_vec(), ms: 3 }))
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
