//! The rules by which containerd picks and reads CNI configurations, as go-cni and libcni have them.
//!
//! Source: go-cni `opts.go` `loadFromConfDir` and libcni `conf.go` of v1.1.2; v1.3.0 (containerd 2.1) differs only in words.
//! Texts of errors are those that containerd shows, so that they can be compared with `lastCNILoadStatus`.

use serde_json::Value;

use crate::digest;

/// Only the last extension counts, so `.10-x.conflist` and even `.conflist` are candidates and `x.conflist.bak` is not.
pub(crate) fn is_candidate(name: &str) -> bool {
    matches!(extension(name), "conf" | "conflist" | "json")
}

/// Go's `filepath.Ext` without the dot.
fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// A configuration that containerd would load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) cni_version: Option<String>,
    pub(crate) plugins: Vec<Plugin>,
    /// SHA-256 in hex of what the file says, without regard to white space and the order of keys.
    pub(crate) sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) kind: String,
    pub(crate) ipam: Option<String>,
    pub(crate) delegate: Option<String>,
}

/// Reads a file by its name's rules.
pub(crate) fn load(name: &str, text: &str) -> Result<Network, String> {
    if extension(name) == "conflist" {
        conf_list(text).map_err(|why| format!("error parsing configuration list: {why}"))
    } else {
        conf(text).map_err(|why| format!("error parsing configuration: {why}"))
    }
}

fn conf_list(text: &str) -> Result<Network, String> {
    let value = json(text)?;
    let Value::Object(list) = &value else {
        return Err(format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", kind(&value)));
    };
    let name = match list.get("name") {
        None => return Err("no name".to_owned()),
        Some(Value::String(name)) => name.clone(),
        Some(other) => return Err(format!("invalid name type {}", go_type(other))),
    };
    let cni_version = match list.get("cniVersion") {
        None => None,
        Some(Value::String(version)) => Some(version.clone()),
        Some(other) => return Err(format!("invalid cniVersion type {}", go_type(other))),
    };
    let plugins = match list.get("plugins") {
        None => return Err("no 'plugins' key".to_owned()),
        Some(Value::Array(plugins)) if plugins.is_empty() => return Err("no plugins in list".to_owned()),
        Some(Value::Array(plugins)) => plugins,
        Some(other) => return Err(format!("invalid 'plugins' type {}", go_type(other))),
    };
    let plugins = plugins.iter().enumerate().map(|(index, plugin)| {
        self::plugin(plugin)
            .map_err(|why| format!("failed to parse plugin config {index}: error parsing configuration: {why}"))
    });
    Ok(Network { name, cni_version, plugins: plugins.collect::<Result<_, _>>()?, sha256: sha256(&value) })
}

fn conf(text: &str) -> Result<Network, String> {
    let value = json(text)?;
    let plugin = plugin(&value)?;
    let text = |key| field(&value, key).and_then(Value::as_str).map(str::to_owned);
    let name = text("name").unwrap_or_default();
    Ok(Network { name, cni_version: text("cniVersion"), plugins: vec![plugin], sha256: sha256(&value) })
}

/// Objects of `serde_json` are sorted by key, so that equal values are equal texts.
fn sha256(value: &Value) -> String {
    digest::sha256(value.to_string().as_bytes())
}

fn plugin(value: &Value) -> Result<Plugin, String> {
    if !value.is_object() {
        return Err(format!("json: cannot unmarshal {} into Go value of type types.NetConf", kind(value)));
    }
    for key in ["cniVersion", "name", "type"] {
        if let Some(other) = field(value, key).filter(|value| !value.is_string() && !value.is_null()) {
            return Err(format!(
                "json: cannot unmarshal {} into Go struct field NetConf.{key} of type string",
                kind(other)
            ));
        }
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(kind) = text(field(value, "type")) else { return Err("missing 'type'".to_owned()) };
    let inner = |outer: &str, key: &str| text(field(value, outer).and_then(|outer| field(outer, key)));
    Ok(Plugin { ipam: inner("ipam", "type"), delegate: inner("delegate", "type"), kind })
}

/// Go matches struct fields without regard to case when none has the exact name.
fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(key).or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
}

/// Parses, with the texts of Go's `encoding/json` for the common mistakes.
fn json(text: &str) -> Result<Value, String> {
    if text.starts_with('\u{feff}') {
        return Err("invalid character 'ï' looking for beginning of value".to_owned());
    }
    serde_json::from_str(text).map_err(|error| {
        if error.is_eof() { "unexpected end of JSON input".to_owned() } else { format!("invalid JSON: {error}") }
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// As `%T` prints what `json.Unmarshal` made.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

impl Network {
    /// One of its plugins is of one of these types.
    pub(crate) fn runs(&self, types: &[&str]) -> bool {
        self.plugins.iter().any(|plugin| types.contains(&plugin.kind.as_str()))
    }

    /// Every binary that a pod of this network needs: the plugins, what they delegate to, their IPAM, and loopback.
    pub(crate) fn binaries(&self) -> Vec<String> {
        let mut needed = Vec::new();
        for plugin in &self.plugins {
            needed.push(plugin.kind.clone());
            if plugin.kind == "flannel" {
                // flannel runs a bridge with host-local unless its delegate says otherwise.
                needed.push(plugin.delegate.clone().unwrap_or_else(|| "bridge".to_owned()));
                needed.push("host-local".to_owned());
            } else {
                needed.extend(plugin.delegate.clone());
            }
            needed.extend(plugin.ipam.clone());
        }
        needed.push("loopback".to_owned());
        needed.sort();
        needed.dedup();
        needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLANNEL: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[
        {"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}},
        {"type":"portmap","capabilities":{"portMappings":true}}]}"#;
    const SINGLE: &str =
        r#"{"cniVersion":"0.3.1","name":"flannel","type":"flannel","delegate":{"isDefaultGateway":true}}"#;

    #[test]
    fn only_the_last_extension_makes_a_candidate() {
        let cases = [
            ("10-flannel.conflist", true),
            (".10-x.conflist", true),
            (".conflist", true),
            ("x.conf", true),
            ("x.json", true),
            ("x.conflist.bak", false),
            (".10-flannel.conflist.tmp", false),
            ("conflist", false),
            ("X.CONF", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_candidate(name), expected, "{name}");
        }
    }

    #[test]
    fn a_good_list_and_what_it_needs() {
        let network = load("10-flannel.conflist", FLANNEL).unwrap();
        assert_eq!(network.name, "cbr0");
        assert_eq!(network.binaries(), ["bridge", "flannel", "host-local", "loopback", "portmap"]);
    }

    #[test]
    fn one_plugin_is_fine_as_conf_and_wrong_as_list_and_the_reverse() {
        assert_eq!(load("10-flannel.conf", SINGLE).unwrap().plugins.len(), 1);
        assert_eq!(load("a.conflist", SINGLE).unwrap_err(), "error parsing configuration list: no 'plugins' key");
        assert_eq!(load("a.conf", FLANNEL).unwrap_err(), "error parsing configuration: missing 'type'");
    }

    #[test]
    fn mistakes_in_the_words_of_libcni() {
        let cases = [
            ("a.conflist", "", "error parsing configuration list: unexpected end of JSON input"),
            ("a.conflist", "{\"name\":\"x\",\"plug", "error parsing configuration list: unexpected end of JSON input"),
            ("a.conflist", "{}", "error parsing configuration list: no name"),
            ("a.conflist", r#"{"name":5}"#, "error parsing configuration list: invalid name type float64"),
            (
                "a.conflist",
                r#"{"name":"x","plugins":{}}"#,
                "error parsing configuration list: invalid 'plugins' type map[string]interface {}",
            ),
            ("a.conflist", r#"{"name":"x","plugins":[]}"#, "error parsing configuration list: no plugins in list"),
            (
                "a.conflist",
                r#"{"name":"x","plugins":[{"a":1}]}"#,
                "error parsing configuration list: failed to parse plugin config 0: error parsing configuration: missing 'type'",
            ),
            (
                "a.conf",
                r#"{"type":3}"#,
                "error parsing configuration: json: cannot unmarshal number into Go struct field NetConf.type of type string",
            ),
            (
                "a.json",
                "\u{feff}{}",
                "error parsing configuration: invalid character 'ï' looking for beginning of value",
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(load(name, text).unwrap_err(), expected);
        }
        assert!(load("a.conf", "{]").unwrap_err().starts_with("error parsing configuration: invalid JSON: "));
    }

    #[test]
    fn white_space_and_the_order_of_keys_make_no_difference() {
        let sha256 = |text| load("a.conflist", text).unwrap().sha256;
        let one = sha256(r#"{"name":"cbr0","plugins":[{"type":"flannel","delegate":{"a":1,"b":2}}]}"#);
        let other = "{ \"plugins\": [ {\"delegate\":{\"b\":2, \"a\":1},\n\"type\":\"flannel\"} ], \"name\":\"cbr0\" }";
        assert_eq!(one, sha256(other));
        assert_ne!(one, sha256(r#"{"name":"cni0","plugins":[{"type":"flannel","delegate":{"a":1,"b":2}}]}"#));
    }

    #[test]
    fn windows_line_ends_are_fine() {
        assert!(load("a.conflist", &FLANNEL.replace('\n', "\r\n")).is_ok());
    }
}
