//! Names of hosts: their natural order (`node2` before `node10`) and their folded form (`node[004-211]`).
//!
//! Pure text work in about linear time. Unfolding a pattern is the inventory's business; what [`limit`] prints is made
//! to be accepted there. Nothing here knows what a node is.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::text;

/// The order in which people expect names: runs of digits compare as numbers, everything else as text.
///
/// A total order: names that differ only in zero padding are told apart by plain comparison at the end.
pub fn natural_cmp(a: &str, b: &str) -> Ordering {
    let mut left = a.as_bytes();
    let mut right = b.as_bytes();
    while let (Some(&l), Some(&r)) = (left.first(), right.first()) {
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l_digits, l_rest) = left.split_at(digits_at_start(left));
            let (r_digits, r_rest) = right.split_at(digits_at_start(right));
            let order = compare_digits(l_digits, r_digits);
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (l_rest, r_rest);
        } else {
            if l != r {
                return l.cmp(&r);
            }
            (left, right) = (&left[1..], &right[1..]);
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn digits_at_start(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Compares two runs of digits of any length as numbers.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Names that differ in one number, or a single name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded<'a> {
    prefix: &'a str,
    suffix: &'a str,
    /// Empty for a single name, which is then all in `prefix`.
    ranges: Vec<Range<'a>>,
    /// In natural order; never empty.
    names: Vec<&'a str>,
}

/// `from-to`, both as they are written in the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<'a> {
    from: &'a str,
    to: &'a str,
}

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { f.write_str(self.from) } else { write!(f, "{}-{}", self.from, self.to) }
    }
}

/// `node[1,3-5].example.org`.
impl fmt::Display for Folded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ranges.is_empty() {
            return f.write_str(self.prefix);
        }
        write!(f, "{}[", self.prefix)?;
        for (index, range) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{range}")?;
        }
        write!(f, "]{}", self.suffix)
    }
}

impl<'a> Folded<'a> {
    fn single(name: &'a str) -> Self {
        Self { prefix: name, suffix: "", ranges: Vec::new(), names: vec![name] }
    }

    /// What is folded here, in natural order.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The folded form in at most `max` columns: ranges that do not fit give way to `ellipsis` and the number of names,
    /// `node[1-3,5-9,…] (150)`. A name that is too long even then is cut like any other text.
    pub fn shortened(&self, max: usize, ellipsis: &str) -> String {
        let whole = self.to_string();
        if text::width(&whole) <= max {
            return whole;
        }
        let tail = format!("{ellipsis}]{} ({})", self.suffix, self.names.len());
        let room = max.saturating_sub(text::width(self.prefix) + 1 + text::width(&tail));
        let mut kept = String::new();
        for range in &self.ranges {
            let range = format!("{range},");
            if kept.len() + range.len() > room {
                break;
            }
            kept.push_str(&range);
        }
        let short = format!("{}[{kept}{tail}", self.prefix);
        if self.ranges.is_empty() || text::width(&short) > max {
            return text::truncate(&whole, max, ellipsis).into_owned();
        }
        short
    }
}

/// Folded names as one text: `node[004-007], storage1`.
pub fn folded<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    fold(names).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Folds names that differ in one number. Each name is in exactly one result; doubles are dropped.
///
/// Of a name with several numbers the one that varies within the most other names is folded, the rightmost of equals:
/// `rack1-node1 ... rack2-node40` gives `rack1-node[1-40]` and `rack2-node[1-40]`. The results are in natural order of
/// their first names. Names that hold brackets or commas stay as they are, because they could not be told from a fold.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Folded<'a>> {
    let names: BTreeSet<&str> = names.into_iter().collect();

    let mut sizes: HashMap<(&str, &str), usize> = HashMap::new();
    for name in &names {
        for field in fields(name) {
            *sizes.entry(field.around()).or_default() += 1;
        }
    }

    let mut folded = Vec::new();
    let mut groups: BTreeMap<(&str, &str), Vec<Field<'a>>> = BTreeMap::new();
    for name in names {
        // `max_by_key` keeps the last of equals, which is the rightmost field.
        match fields(name).into_iter().max_by_key(|field| sizes.get(&field.around()).copied().unwrap_or(0)) {
            Some(field) => groups.entry(field.around()).or_default().push(field),
            None => folded.push(Folded::single(name)),
        }
    }
    folded.extend(groups.into_values().map(fold_group));
    folded.sort_by(|a, b| natural_cmp(a.names[0], b.names[0]));
    folded
}

/// The value of a `--limit` that names exactly these: ranges in brackets, items separated by commas, and no comma inside
/// a bracket, where it could be mistaken for the separator.
///
/// `None` when a name holds a character that a pattern or a shell's single quotes would read in another way.
pub fn limit<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut items = Vec::new();
    for folded in fold(names) {
        if !folded.names.iter().all(|name| is_plain(name)) {
            return None;
        }
        if folded.ranges.is_empty() {
            items.push(folded.prefix.to_owned());
        }
        for range in &folded.ranges {
            let (open, close) = if range.from == range.to { ("", "") } else { ("[", "]") };
            items.push(format!("{}{open}{range}{close}{}", folded.prefix, folded.suffix));
        }
    }
    Some(items.join(","))
}

/// Made of what host names are made of, and not to be taken for a flag.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// One number in a name, and what stands around it.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    prefix: &'a str,
    digits: &'a str,
    suffix: &'a str,
    value: u64,
}

impl<'a> Field<'a> {
    const fn around(&self) -> (&'a str, &'a str) {
        (self.prefix, self.suffix)
    }

    /// Written with leading zeros, so that its width means something.
    fn is_padded(&self) -> bool {
        self.digits.len() > 1 && self.digits.starts_with('0')
    }
}

/// The numbers in a name from left to right; none in a name that must not be folded. A run of digits that is too long
/// for a number is text (a serial number, not a counter).
fn fields(name: &str) -> Vec<Field<'_>> {
    let mut found = Vec::new();
    if name.contains(['[', ']', ',']) {
        return found;
    }
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let length = digits_at_start(&bytes[at..]);
        let (prefix, rest) = name.split_at(at);
        let (digits, suffix) = rest.split_at(length);
        if let Ok(value) = digits.parse() {
            found.push(Field { name, prefix, digits, suffix, value });
        }
        // Skip what was looked at; a whole character when it was no digit.
        at += if length > 0 { length } else { rest.chars().next().map_or(1, char::len_utf8) };
    }
    found
}

/// Folds names that differ in `digits` only.
fn fold_group(mut group: Vec<Field<'_>>) -> Folded<'_> {
    if let [field] = group.as_slice() {
        return Folded::single(field.name);
    }
    // `100` counts as padded to three when a sibling is `099`: both are what `%03d` prints.
    let padded: BTreeSet<usize> =
        group.iter().filter(|field| field.is_padded()).map(|field| field.digits.len()).collect();
    let width = |field: &Field<'_>| padded.get(&field.digits.len()).copied().unwrap_or(0);
    group.sort_by_key(|field| (width(field), field.value));

    let mut ranges: Vec<Range<'_>> = Vec::new();
    let mut last: Option<Field<'_>> = None;
    for field in &group {
        let follows = last
            .as_ref()
            .is_some_and(|last| width(last) == width(field) && last.value.checked_add(1) == Some(field.value));
        match ranges.last_mut() {
            Some(range) if follows => range.to = field.digits,
            _ => ranges.push(Range { from: field.digits, to: field.digits }),
        }
        last = Some(*field);
    }
    let (prefix, suffix) = group[0].around();
    let mut names: Vec<&str> = group.iter().map(|field| field.name).collect();
    names.sort_by(|a, b| natural_cmp(a, b));
    Folded { prefix, suffix, ranges, names }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(names: &[&str]) -> String {
        fold(names.iter().copied()).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn order_is_natural() {
        let mut names =
            ["node10", "node2", "Node1", "node02", "node", "node2a", "a.10.b", "a.9.b", "node2-10", "node2-9"];
        names.sort_by(|a, b| natural_cmp(a, b));
        assert_eq!(
            names,
            ["Node1", "a.9.b", "a.10.b", "node", "node02", "node2", "node2-9", "node2-10", "node2a", "node10"]
        );
    }

    #[test]
    fn order_knows_numbers_of_any_length() {
        assert_eq!(natural_cmp("n99999999999999999999998", "n99999999999999999999999"), Ordering::Less);
        assert_eq!(natural_cmp("n099999999999999999999999", "n100000000000000000000000"), Ordering::Less);
    }

    #[test]
    fn folds() {
        let cases: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["storagenode"], "storagenode"),
            (&["node7"], "node7"),
            (&["node3", "node1", "node2", "node2"], "node[1-3]"),
            (&["node1", "node3", "node4", "node5"], "node[1,3-5]"),
            (&["n1.example.org", "n3.example.org", "n4.example.org"], "n[1,3-4].example.org"),
            (&["node098", "node099", "node100"], "node[098-100]"),
            (&["node099", "node100", "node1000"], "node[1000,099-100]"),
            (&["node4", "node004", "node5"], "node[4-5,004]"),
            (&["node9", "node10", "node11"], "node[9-11]"),
            (&["r1-n1", "r1-n2", "r2-n1", "r2-n2", "r2-n3"], "r1-n[1-2] r2-n[1-3]"),
            (&["n1-a", "n2-a", "n3-b"], "n[1-2]-a n3-b"),
            (&["10.0.0.9", "10.0.0.10", "10.0.1.1"], "10.0.0.[9-10] 10.0.1.1"),
            (&["a[1", "a[2", "b,1", "b,2"], "a[1 a[2 b,1 b,2"),
            (
                &["x99999999999999999999999", "x99999999999999999999998"],
                "x99999999999999999999998 x99999999999999999999999",
            ),
            (&["knoten-ä1", "knoten-ä2"], "knoten-ä[1-2]"),
        ];
        for (names, expected) in cases {
            assert_eq!(folded(names), *expected, "{names:?}");
        }
    }

    #[test]
    fn a_limit_has_no_comma_inside_brackets() {
        let names = ["node004", "node005", "node007", "node009", "homelab"];
        assert_eq!(limit(names).unwrap(), "homelab,node[004-005],node007,node009");
        assert_eq!(limit([]).unwrap(), "");
        for name in ["it's", "a b", "web*", "fe80::1", "!x", "@file", "-i", "a\n", ""] {
            assert_eq!(limit(["node1", name]), None, "{name:?}");
        }
    }

    #[test]
    fn a_long_fold_says_how_many_it_holds() {
        let names: Vec<String> = (1..100).filter(|n| n % 5 != 0).map(|n| format!("node{n:02}")).collect();
        let folded = fold(names.iter().map(String::as_str));
        assert_eq!(folded[0].shortened(30, "…"), "node[01-04,06-09,11-14,…] (80)");
        assert_eq!(folded[0].shortened(24, "…"), "node[01-04,06-09,…] (80)");
        assert_eq!(folded[0].shortened(16, "…"), "node[…] (80)");
        assert_eq!(folded[0].shortened(11, "…"), "node[01-04…");
        for max in 1..80 {
            let short = folded[0].shortened(max, "…");
            assert!(text::width(&short) <= max, "{max}: {short}");
        }
    }

    #[test]
    fn ten_thousand_names_fold_in_one_go() {
        let names: Vec<String> = (0..10_000).map(|n| format!("rack{}-node{n:05}.dc1.example.org", n % 7)).collect();
        let started = std::time::Instant::now();
        let folded = fold(names.iter().map(String::as_str));
        assert_eq!(folded.iter().map(|item| item.names().len()).sum::<usize>(), 10_000);
        assert_eq!(folded.len(), 7);
        // Milliseconds when linear, minutes when quadratic in this unoptimised build.
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }

    /// What the inventory does with a pattern, as plainly as possible.
    fn expand(pattern: &str) -> Vec<String> {
        let Some((prefix, rest)) = pattern.split_once('[') else { return vec![pattern.to_owned()] };
        let (ranges, suffix) = rest.split_once(']').unwrap();
        let mut names = Vec::new();
        for range in ranges.split(',') {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let width = if from.starts_with('0') { from.len() } else { 0 };
            for number in from.parse::<u64>().unwrap()..=to.parse::<u64>().unwrap() {
                names.push(format!("{prefix}{number:0width$}{suffix}"));
            }
        }
        names
    }

    proptest! {
        #[test]
        fn unfolding_gives_the_names_back(names in proptest::collection::btree_set("[ab]{0,1}[01289]{0,3}[-.]?[0189]{0,2}c?", 0..60)) {
            let folded = fold(names.iter().map(String::as_str));
            let mut expanded: Vec<String> = folded.iter().flat_map(|item| expand(&item.to_string())).collect();
            expanded.sort();
            prop_assert_eq!(&expanded, &names.iter().cloned().collect::<Vec<_>>());

            let plain: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_plain(name)).collect();
            let limit = limit(plain.iter().copied()).unwrap();
            let mut expanded: Vec<String> = limit.split(',').filter(|item| !item.is_empty()).flat_map(expand).collect();
            expanded.sort();
            prop_assert_eq!(expanded, plain);
        }

        #[test]
        fn order_is_total(a in "[a0-2]{0,6}", b in "[a0-2]{0,6}", c in "[a0-2]{0,6}") {
            prop_assert_eq!(natural_cmp(&a, &b), natural_cmp(&b, &a).reverse());
            prop_assert_eq!(natural_cmp(&a, &b) == Ordering::Equal, a == b);
            if natural_cmp(&a, &b) == Ordering::Less && natural_cmp(&b, &c) == Ordering::Less {
                prop_assert_eq!(natural_cmp(&a, &c), Ordering::Less);
            }
        }

        #[test]
        fn any_text_folds_without_panic(names in proptest::collection::vec(".{0,12}", 0..20)) {
            for item in fold(names.iter().map(String::as_str)) {
                let _ = item.shortened(5, "…");
            }
        }
    }
}
