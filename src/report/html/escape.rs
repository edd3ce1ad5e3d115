//! What every `{{ }}` of a template passes through: harmless for a terminal and for HTML, in text and in quoted attributes.

use std::fmt::{self, Write};

use askama::filters::Escaper;

use crate::text;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let clean = text::sanitize(string);
        let mut rest: &str = &clean;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            dest.write_str(&rest[..at])?;
            dest.write_str(match rest.as_bytes()[at] {
                b'&' => "&#38;",
                b'<' => "&#60;",
                b'>' => "&#62;",
                b'"' => "&#34;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        dest.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_leaves_its_text_or_attribute() {
        let mut out = String::new();
        Html.write_escaped_str(&mut out, "<a href=\"x\" y='z'>&\x1b\u{202e}\n").unwrap();
        assert_eq!(out, "&#60;a href=&#34;x&#34; y=&#39;z&#39;&#62;&#38;\\x1b\\u{202e}\\n");
    }

    proptest! {
        /// A strict reader finds the same text in an attribute and between tags, and nothing else.
        #[test]
        fn any_text_is_read_back(text in any::<String>()) {
            let mut out = String::new();
            Html.write_escaped_str(&mut out, &text).unwrap();
            let page = format!("<a b=\"{out}\" c='{out}'>{out}</a>");
            let page = roxmltree::Document::parse(&page).unwrap();
            let element = page.root_element();
            let clean = text::sanitize(&text);
            prop_assert_eq!(element.attribute("b"), Some(&*clean));
            prop_assert_eq!(element.attribute("c"), Some(&*clean));
            prop_assert_eq!(element.text().unwrap_or_default(), &*clean);
        }
    }
}
