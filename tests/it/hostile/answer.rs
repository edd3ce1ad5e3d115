//! A good node's answer to the probe, to be spoilt.

use seaworthy::demo::{Behaviour, Plan, State, answer};
use seaworthy::probe::Nonce;

/// The node of the fleet that misbehaves; the others are good.
pub(super) const NODE: usize = 2;

/// A control plane and two workers, who are all good; a case takes the place of the last one.
pub(super) fn plan() -> Plan {
    Plan::of(7, [State::ControlPlane, State::Worker, State::Worker].map(|state| (state, Behaviour::Answer)))
}

/// Sections as the node sends them.
pub(super) struct Answer {
    /// `@@` and the nonce.
    pub mark: String,
    /// What comes before the greeting.
    pub noise: Vec<u8>,
    pub hello: Vec<u8>,
    /// `id rc ms [arg]` and what stands below it.
    pub sections: Vec<(Vec<u8>, Vec<u8>)>,
    pub bye: Vec<u8>,
}

impl Answer {
    pub(super) fn good(nonce: &Nonce) -> Self {
        Self::of(NODE, nonce)
    }

    /// What that node of the fleet says.
    pub(super) fn of(node: usize, nonce: &Nonce) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let text = answer(&plan(), node, i64::try_from(now).unwrap(), nonce.as_str());
        let text = String::from_utf8(text).unwrap();
        let mark = format!("@@{}", nonce.as_str());
        let mut parts = text.split_inclusive('\n').collect::<Vec<_>>().into_iter().peekable();
        let mut answer =
            Self { mark: mark.clone(), noise: Vec::new(), hello: Vec::new(), sections: Vec::new(), bye: Vec::new() };
        while let Some(line) = parts.next() {
            let head = line.strip_prefix(&mark).unwrap().trim();
            let mut text = Vec::new();
            while let Some(line) = parts.next_if(|line| !line.starts_with(&mark)) {
                text.extend_from_slice(line.as_bytes());
            }
            match head {
                "bye" => answer.bye = line.as_bytes().to_vec(),
                hello if hello.starts_with("hello ") => answer.hello = line.as_bytes().to_vec(),
                head => answer.sections.push((head.as_bytes().to_vec(), text)),
            }
        }
        assert!(answer.sections.len() > 100 && !answer.bye.is_empty());
        answer
    }

    fn place(&self, section: &str) -> usize {
        let (id, arg) = section.split_once(' ').unwrap_or((section, ""));
        let found = self.sections.iter().position(|(head, _)| {
            let head = String::from_utf8_lossy(head);
            let mut words = head.splitn(4, ' ');
            words.next() == Some(id) && (arg.is_empty() || words.nth(2) == Some(arg))
        });
        found.unwrap_or_else(|| panic!("no section {section}"))
    }

    /// Has the section of that id (`id arg`) say this, and nothing else.
    pub(super) fn say(&mut self, section: &str, text: impl Into<Vec<u8>>) {
        let place = self.place(section);
        let (head, kept) = &mut self.sections[place];
        let words = String::from_utf8_lossy(head).into_owned();
        // Whatever the command's exit code was, it is good now.
        let mut words = words.splitn(3, ' ');
        *head = [words.next().unwrap(), "0", words.nth(1).unwrap()].join(" ").into_bytes();
        *kept = text.into();
    }

    /// Changes what a section says.
    pub(super) fn edit(&mut self, section: &str, from: &str, to: &str) {
        let place = self.place(section);
        let text = String::from_utf8(self.sections[place].1.clone()).unwrap();
        assert!(text.contains(from), "{section} has no {from:?}");
        self.sections[place].1 = text.replace(from, to).into_bytes();
    }

    /// A section more.
    pub(super) fn add(&mut self, head: &str, text: impl Into<Vec<u8>>) {
        self.sections.push((head.as_bytes().to_vec(), text.into()));
    }

    pub(super) fn remove(&mut self, section: &str) {
        let place = self.place(section);
        self.sections.remove(place);
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = self.noise.clone();
        out.extend_from_slice(&self.hello);
        for (head, text) in &self.sections {
            out.extend_from_slice(self.mark.as_bytes());
            out.push(b' ');
            out.extend_from_slice(head);
            out.push(b'\n');
            out.extend_from_slice(text);
            if !out.ends_with(b"\n") {
                out.push(b'\n');
            }
        }
        out.extend_from_slice(&self.bye);
        out
    }
}
