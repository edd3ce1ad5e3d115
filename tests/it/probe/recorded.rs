//! Recorded answers of real Debian 12 nodes with Kubernetes 1.20 and containerd 1.6.20: they parse, whole, and hold no secret.

use super::*;

/// The nonce that they were recorded with.
const NONCE: &str = "00112233445566778899aabbccddeeff";

#[test]
fn recorded_answers_are_whole_and_clean() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures");
    let nonce = Nonce::from_hex(NONCE).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let raw = probe::frame::parse(&bytes, b"", &nonce, &Limits::DEFAULT).unwrap();
        assert_complete(&raw, &name);
        assert_eq!(raw.uid, Some(if name.ends_with("-nobody.txt") { 65534 } else { 0 }), "{name}");
        // What the node let through of secrets would be found here.
        let clean = probe::read(&bytes, b"", &nonce, &Limits::DEFAULT).unwrap();
        for (raw, clean) in raw.sections.iter().zip(&clean.sections) {
            assert_eq!(raw, clean, "{name}");
        }
        assert_eq!(ids(&raw).contains("api-nodes"), name.starts_with("control-plane"), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}
