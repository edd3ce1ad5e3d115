//! The facts that expressions read, each in a slot of its own, so that a node's facts are converted once, and only those.
//!
//! When checks are loaded, every path in an expression (`kubelet.unit.state`) is bound to a slot; the expression then names the
//! slot, which needs no search when it is evaluated. Per node, [`Slots::fill`] walks the facts once and converts what some
//! slot wants. What a path means, and whether it exists, is `shape`'s; the conversion is `convert`'s.

use std::fmt;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde::Serialize;
use serde::ser::{Impossible, SerializeMap, SerializeStruct, Serializer};
use serde_json::Value;

use super::convert::{Convert, Depth, Name};
use super::shape::written;

/// All slots, by path.
#[derive(Debug, Default)]
pub(super) struct Slots {
    root: Branch,
    count: usize,
}

/// What is wanted of the fact at one path.
#[derive(Debug, Default)]
struct Branch {
    whole: Option<usize>,
    /// Of a path that is only compared with null.
    shallow: Option<usize>,
    /// By length and name.
    below: Vec<(String, Branch)>,
}

impl Branch {
    fn child(&self, name: &str) -> Option<&Self> {
        let place = self.place(name).ok()?;
        Some(&self.below[place].1)
    }

    /// Lengths first: most names are told apart by them.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.below.binary_search_by(|(known, _)| known.len().cmp(&name.len()).then_with(|| known.as_str().cmp(name)))
    }
}

impl Slots {
    /// The expression with slots in place of paths.
    pub(super) fn bind(&mut self, expression: &IdedExpr) -> Bound {
        let mut bound = Bound { expression: expression.clone(), slots: Vec::new() };
        let mut binding = Binding { slots: self, scope: Vec::new(), named: &mut bound.slots };
        binding.bind(&mut bound.expression);
        bound
    }

    fn slot(&mut self, path: &str, depth: Depth) -> usize {
        let mut branch = &mut self.root;
        for name in path.split('.') {
            let place = branch.place(name).unwrap_or_else(|place| {
                branch.below.insert(place, (name.to_owned(), Branch::default()));
                place
            });
            branch = &mut branch.below[place].1;
        }
        let slot = match depth {
            Depth::Whole => &mut branch.whole,
            Depth::Shallow => &mut branch.shallow,
        };
        *slot.get_or_insert_with(|| {
            self.count += 1;
            self.count - 1
        })
    }

    /// The values of all slots in one document of facts.
    pub(super) fn fill(&self, document: &impl Serialize) -> Values {
        let mut values = Values(Vec::new());
        values.0.resize_with(self.count, || None);
        self.walk(document, &mut values);
        values
    }

    fn walk<T: Take>(&self, document: &impl Serialize, into: &mut T) {
        // What cannot be serialised leaves its slot empty, as if it were unknown.
        let _ = document.serialize(Fill { branch: &self.root, into });
    }
}

/// The JSON of one fact; `None` where the path leads nowhere.
pub(super) fn value_at(document: &impl Serialize, path: &str) -> Option<Value> {
    let mut slots = Slots::default();
    slots.slot(path, Depth::Whole);
    let mut found = None;
    slots.walk(document, &mut found);
    found
}

/// Whatever slots are filled for.
trait Take {
    fn take(&mut self, slot: usize, depth: Depth, value: &(impl Serialize + ?Sized));
}

impl Take for Values {
    fn take(&mut self, slot: usize, depth: Depth, value: &(impl Serialize + ?Sized)) {
        self.0[slot] = value.serialize(Convert(depth)).ok().flatten();
    }
}

/// Of a single slot.
impl Take for Option<Value> {
    fn take(&mut self, _: usize, _: Depth, value: &(impl Serialize + ?Sized)) {
        *self = serde_json::to_value(value).ok();
    }
}

/// An expression as it is evaluated.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) expression: IdedExpr,
    /// Every path that it names, to its end, with the slot.
    pub(super) slots: Vec<(String, usize)>,
}

struct Binding<'s> {
    slots: &'s mut Slots,
    /// Variables of comprehensions.
    scope: Vec<String>,
    named: &'s mut Vec<(String, usize)>,
}

impl Binding<'_> {
    fn bind(&mut self, expression: &mut IdedExpr) {
        if let Some(path) = self.path_of(expression) {
            expression.expr = Expr::Ident(self.slot(path, Depth::Whole));
            return;
        }
        match &mut expression.expr {
            Expr::Select(selected) => self.bind(&mut selected.operand),
            Expr::Call(call) => {
                let compared = matches!(call.func_name.as_str(), operators::EQUALS | operators::NOT_EQUALS);
                if compared && let [path, null] = call.args.as_mut_slice() {
                    let is_null = matches!(null.expr, Expr::Literal(LiteralValue::Null));
                    if let Some(path_text) = self.path_of(path).filter(|_| is_null) {
                        path.expr = Expr::Ident(self.slot(path_text, Depth::Shallow));
                        return;
                    }
                }
                for part in call.target.iter_mut().map(AsMut::as_mut).chain(&mut call.args) {
                    self.bind(part);
                }
            }
            Expr::Comprehension(each) => {
                self.bind(&mut each.iter_range);
                self.bind(&mut each.accu_init);
                let before = self.scope.len();
                self.scope.push(each.iter_var.clone());
                self.scope.extend(each.iter_var2.clone());
                self.scope.push(each.accu_var.clone());
                for part in [&mut each.loop_cond, &mut each.loop_step, &mut each.result] {
                    self.bind(part);
                }
                self.scope.truncate(before);
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.bind(element)),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.bind(&mut entry.key);
                        self.bind(&mut entry.value);
                    }
                }
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }

    /// The variable that stands for a path.
    fn slot(&mut self, path: String, depth: Depth) -> String {
        let slot = self.slots.slot(&path, depth);
        self.named.push((path, slot));
        slot.to_string()
    }

    /// `a.b.c` if the expression is written like that, and `a` is no variable of a comprehension.
    fn path_of(&self, expression: &IdedExpr) -> Option<String> {
        if matches!(&expression.expr, Expr::Select(selected) if selected.test) {
            return None;
        }
        let path = written(expression)?;
        let root = path.split('.').next().unwrap_or_default();
        (!self.scope.iter().any(|variable| variable == root)).then_some(path)
    }
}

/// One node's values, by slot. The slot of an unknown fact is empty, so that naming it is an error of the expression, and CEL's
/// own rules say when such an error matters: `true || unknown` is true.
#[derive(Debug)]
pub(super) struct Values(Vec<Option<Box<dyn Val>>>);

impl Values {
    /// The fact is known, or known not to be there.
    pub(super) fn has(&self, slot: usize) -> bool {
        self.0.get(slot).is_some_and(Option::is_some)
    }
}

impl VariableResolver for Values {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let slot: usize = variable.parse().ok()?;
        self.0.get(slot)?.as_deref().map(CowVal::Borrowed)
    }
}

/// Walks down to the slots and passes over everything else.
struct Fill<'s, 'v, T> {
    branch: &'s Branch,
    into: &'v mut T,
}

impl<W: Take> Fill<'_, '_, W> {
    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        self.branch.child(name).map_or(Ok(()), |branch| self.child(branch, value))
    }

    fn child(&mut self, branch: &Branch, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        for (slot, depth) in [(branch.whole, Depth::Whole), (branch.shallow, Depth::Shallow)] {
            if let Some(slot) = slot {
                self.into.take(slot, depth, value);
            }
        }
        if branch.below.is_empty() {
            return Ok(());
        }
        value.serialize(Fill { branch, into: self.into })
    }
}

/// Values without fields: nothing below them is wanted.
macro_rules! pass {
    ($($name:ident($kind:ty);)*) => {
        $(fn $name(self, _: $kind) -> Result<(), fmt::Error> { Ok(()) })*
    };
}

impl<'s, 'v, W: Take> Serializer for Fill<'s, 'v, W> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Impossible<(), fmt::Error>;
    type SerializeTuple = Impossible<(), fmt::Error>;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeMap = FillMap<'s, 'v, W>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    pass! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_unit_struct(&'static str);
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        self.field(variant, value)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<FillMap<'s, 'v, W>, fmt::Error> {
        Ok(FillMap { fill: self, child: None })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    // Lists have no names, and no fact is a record in an enum.
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

impl<W: Take> SerializeStruct for Fill<'_, '_, W> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), fmt::Error> {
        // One field that has another shape than expected says nothing about the next.
        let _ = self.field(name, value);
        Ok(())
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}

struct FillMap<'s, 'v, W> {
    fill: Fill<'s, 'v, W>,
    child: Option<&'s Branch>,
}

impl<W: Take> SerializeMap for FillMap<'_, '_, W> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        let branch = self.fill.branch;
        self.child = key.serialize(Name(|name: &str| branch.child(name)))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        if let Some(branch) = self.child.take() {
            let _ = self.fill.child(branch, value);
        }
        Ok(())
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}
