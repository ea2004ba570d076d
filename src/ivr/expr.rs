//! Conditions and texts, checked when the flow is read and bounded when it runs.
//!
//! A [`Condition`] is a CEL expression without comprehensions and without regular expressions, so
//! that its cost grows with its own length only. A [`Text`] is a minijinja template without loops
//! and assignments, run with fuel and cut off at a length. Templates come from the flow's author;
//! what callers and connectors say is bound as data and never read as a template.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::{Key as CelKey, Map as CelMap};
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::{Values, spoken};
use crate::base::Language;

/// Longest source of a condition or text, in octets.
pub const LONGEST_SOURCE: usize = 4096;
/// Longest rendered text, in octets.
pub const LONGEST_TEXT: usize = 4096;
/// Deepest nesting of bound data that a condition sees; what is deeper reads as null.
const DEEPEST: usize = 32;
/// minijinja instructions a text may take.
const FUEL: u64 = 5_000;

/// Why a condition or text is no good, in words for the flow's author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSource {
    pub what: String,
    pub right: &'static str,
}

/// A text could not be rendered for these values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrendered {
    /// A value it needs is not there.
    Missing,
    /// Out of fuel, too long, or a filter was given what it cannot take.
    Failed,
}

/// Functions a condition may call, operators aside.
const FUNCTIONS: [&str; 10] =
    ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool", "dyn"];

/// A compiled CEL expression.
pub struct Condition {
    source: String,
    program: cel::Program,
    /// What it refers to. Bound anew each time, unknown ones as null.
    variables: Vec<String>,
    standard: Arc<cel::Env>,
}

/// The CEL standard library, shared by the conditions of a flow.
#[derive(Clone)]
pub struct Standard(Arc<cel::Env>);

impl Default for Standard {
    fn default() -> Self {
        Self(Arc::new(cel::Env::stdlib()))
    }
}

impl Condition {
    pub fn compile(source: &str, standard: &Standard) -> Result<Self, BadSource> {
        check_length(source)?;
        let program = standard.0.compile(source).map_err(|fault| BadSource {
            what: format!("not a CEL expression: {}", first_line(&fault.to_string())),
            right: "a CEL condition such as customer.tier == \"gold\"",
        })?;
        walk(program.expression())?;
        let variables = program.references().variables().into_iter().map(str::to_owned).collect();
        Ok(Self { source: source.to_owned(), program, variables, standard: standard.0.clone() })
    }

    /// As written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it refers to.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// The expression's value; `None` when it has none for these values (a field that is not
    /// there, types that do not compare).
    pub fn value(&self, values: &Values) -> Option<Value> {
        let mut bound = cel::Context::with_env(self.standard.clone());
        for name in &self.variables {
            let value = values.get(name).map_or(cel::Value::Null, |value| to_cel(value, DEEPEST));
            bound.add_variable_from_value(name.as_str(), value);
        }
        self.program.execute(&bound).ok().and_then(|value| from_cel(&value, DEEPEST))
    }

    /// Whether it holds. An expression without a value does not hold: a caller of whom we know
    /// less takes the ordinary way.
    pub fn holds(&self, values: &Values) -> bool {
        self.value(values) == Some(Value::Bool(true))
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.source)
    }
}

/// Refuses what could cost more than the expression is long. The parser bounds the depth.
fn walk(expression: &IdedExpr) -> Result<(), BadSource> {
    match &expression.expr {
        Expr::Comprehension(_) => Err(BadSource {
            what: "a condition may not loop: all, exists, exists_one, map and filter are refused".into(),
            right: "plain comparisons; have the connector answer with what is asked",
        }),
        Expr::Struct(_) => Err(BadSource {
            what: "a condition may not build a message".into(),
            right: "plain comparisons of values",
        }),
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            let operator = name.starts_with(['_', '!', '-', '@']) && name != "_[?_]" && name != "_?._";
            if !operator && !FUNCTIONS.contains(&name) {
                return Err(BadSource {
                    what: format!("a condition may not call {name:?}"),
                    right: "size, contains, startsWith, endsWith, string, int, uint, double, bool or has",
                });
            }
            call.target.iter().try_for_each(|target| walk(target))?;
            call.args.iter().try_for_each(walk)
        }
        Expr::Select(select) => walk(&select.operand),
        Expr::List(list) => list.elements.iter().try_for_each(walk),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::StructField(field) => walk(&field.value),
            EntryExpr::MapEntry(entry) => walk(&entry.key).and_then(|()| walk(&entry.value)),
        }),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
    }
}

fn to_cel(value: &Value, depth: usize) -> cel::Value {
    let Some(below) = depth.checked_sub(1) else { return cel::Value::Null };
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), ..) => cel::Value::Int(i),
            (_, Some(u), _) => cel::Value::UInt(u),
            (_, _, Some(f)) => cel::Value::Float(f),
            _ => cel::Value::Null,
        },
        Value::String(s) => cel::Value::String(Arc::new(s.clone())),
        Value::Array(items) => {
            cel::Value::List(Arc::new(items.iter().map(|item| to_cel(item, below)).collect()))
        }
        Value::Object(fields) => {
            let map = fields
                .iter()
                .map(|(name, value)| (CelKey::String(Arc::new(name.clone())), to_cel(value, below)))
                .collect();
            cel::Value::Map(CelMap { map: Arc::new(map) })
        }
    }
}

fn from_cel(value: &cel::Value, depth: usize) -> Option<Value> {
    let below = depth.checked_sub(1)?;
    Some(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(b) => Value::Bool(*b),
        cel::Value::Int(i) => Value::from(*i),
        cel::Value::UInt(u) => Value::from(*u),
        cel::Value::Float(f) => Value::from(*f),
        cel::Value::String(s) => Value::String(s.to_string()),
        cel::Value::List(items) => {
            Value::Array(items.iter().map(|item| from_cel(item, below)).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// What a text does with a value that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It reads as nothing: for what is spoken.
    Empty,
    /// The text fails: for what goes to a connector, where an empty part means something else.
    Fails,
}

/// A fixed text, or a template.
#[derive(Clone)]
pub enum Text {
    Fixed(Arc<str>),
    Template(Template),
}

#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    variables: Arc<BTreeSet<String>>,
}

/// The one template of each environment.
const NAME: &str = "text";

impl Text {
    pub fn compile(source: &str, missing: Missing) -> Result<Self, BadSource> {
        check_length(source)?;
        if !["{{", "{%", "{#"].iter().any(|mark| source.contains(mark)) {
            return Ok(Self::Fixed(source.into()));
        }
        let mut environment = Environment::empty();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(16);
        environment.set_undefined_behavior(match missing {
            Missing::Empty => UndefinedBehavior::Chainable,
            Missing::Fails => UndefinedBehavior::Strict,
        });
        // As JSON writes them, but null, which is nobody's word for "none".
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::None => Ok(()),
            ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
            _ => minijinja::escape_formatter(out, state, value),
        });
        add_filters(&mut environment);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|fault| bad_template(&fault))?;
        let template = environment.get_template(NAME).map_err(|fault| bad_template(&fault))?;
        check_words(source)?;
        let variables = template.undeclared_variables(false).into_iter().collect();
        Ok(Self::Template(Template { environment: Arc::new(environment), variables: Arc::new(variables) }))
    }

    /// The values it speaks of.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let template = match self {
            Self::Fixed(_) => None,
            Self::Template(template) => Some(template),
        };
        template.into_iter().flat_map(|template| template.variables.iter().map(String::as_str))
    }

    /// The text itself, if it has no values in it.
    pub fn as_fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Template(_) => None,
        }
    }

    /// At most [`LONGEST_TEXT`] octets.
    pub fn render(&self, values: &Values, language: Language) -> Result<String, Unrendered> {
        let template = match self {
            Self::Fixed(text) => return Ok(text.to_string()),
            Self::Template(template) => template,
        };
        let compiled = template.environment.get_template(NAME).map_err(|_| Unrendered::Failed)?;
        // Only what the text speaks of is converted, not all that is bound.
        let bound: std::collections::BTreeMap<&str, minijinja::Value> = template
            .variables
            .iter()
            .filter_map(|name| Some((name.as_str(), to_template(values.get(name)?, DEEPEST))))
            .chain([("language", language.tag().into())])
            .collect();
        let mut text = Bounded(Vec::new());
        match compiled.render_captured_to(bound, &mut text) {
            Ok(_) => String::from_utf8(text.0).map_err(|_| Unrendered::Failed),
            Err(fault) if fault.kind() == ErrorKind::UndefinedError => Err(Unrendered::Missing),
            Err(_) => Err(Unrendered::Failed),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(text) => write!(f, "{text:?}"),
            Self::Template(template) => write!(f, "Template({:?})", template.variables),
        }
    }
}

fn to_template(value: &Value, depth: usize) -> minijinja::Value {
    let Some(below) = depth.checked_sub(1) else { return ().into() };
    match value {
        Value::Null => ().into(),
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), ..) => i.into(),
            (_, Some(u), _) => u.into(),
            (_, _, Some(f)) => f.into(),
            _ => ().into(),
        },
        Value::String(s) => s.as_str().into(),
        Value::Array(items) => items.iter().map(|item| to_template(item, below)).collect::<Vec<_>>().into(),
        Value::Object(fields) => minijinja::Value::from_pairs(
            fields.iter().map(|(name, value)| (name.as_str(), to_template(value, below))),
        ),
    }
}

/// Takes [`LONGEST_TEXT`] octets and refuses the next.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_TEXT {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What may follow a `|`. `replace`, `join` and their like can make much out of little.
const FILTERS: [&str; 12] = [
    "number", "digits", "duration", "default", "upper", "lower", "trim", "length", "first", "last", "int",
    "round",
];

const TAGS: [&str; 4] = ["if", "elif", "else", "endif"];

fn add_filters(environment: &mut Environment<'static>) {
    use minijinja::{Error, State, filters, value::Value};

    fn language(state: &State<'_, '_>) -> Language {
        let tag = state.lookup("language");
        tag.as_ref().and_then(Value::as_str).and_then(|tag| tag.parse().ok()).unwrap_or_default()
    }
    fn count(value: &Value) -> Result<u64, Error> {
        let text = value.to_string();
        let whole = text.split('.').next().unwrap_or_default();
        whole.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, "not a whole number from 0"))
    }
    environment.add_filter("number", |state: &mut State<'_, '_>, value: Value| {
        count(&value).map(|n| spoken::number(language(state), n))
    });
    environment.add_filter("digits", |state: &mut State<'_, '_>, value: Value| {
        spoken::digits(language(state), &value.to_string())
    });
    environment.add_filter("duration", |state: &mut State<'_, '_>, value: Value| {
        count(&value).map(|secs| spoken::duration(language(state), std::time::Duration::from_secs(secs)))
    });
    environment.add_filter("default", filters::default);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("int", filters::int);
    environment.add_filter("round", filters::round);
}

fn check_length(source: &str) -> Result<(), BadSource> {
    if source.len() <= LONGEST_SOURCE {
        return Ok(());
    }
    Err(BadSource { what: format!("{} octets long", source.len()), right: "at most 4096 octets" })
}

fn bad_template(fault: &minijinja::Error) -> BadSource {
    BadSource {
        what: format!(
            "not a template: {}",
            fault.detail().map_or_else(|| fault.kind().to_string(), first_line)
        ),
        right: "a text such as Your balance is {{ balance }}.",
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Refuses, in a template that parses, what minijinja would find out only while rendering
/// (unknown filters) and what could make much out of little (loops, assignments, repetition).
fn check_words(source: &str) -> Result<(), BadSource> {
    let mut rest = source;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|mark| rest.find(mark)).min() {
        let (open, inside) = rest[at..].split_at(2);
        if open == "{#" {
            rest = inside.split_once("#}").map_or("", |(_, after)| after);
            continue;
        }
        rest = inside.strip_prefix(['-', '+']).unwrap_or(inside);
        let (mut before, mut before_that) = ("", "");
        while let Some((word, after)) = next_word(rest) {
            rest = after;
            if matches!(word, "}}" | "%}") {
                break;
            }
            let refused = match word {
                _ if before.is_empty() && open == "{%" && !TAGS.contains(&word) => Some("tag"),
                _ if before == "|" && !FILTERS.contains(&word) => Some("filter"),
                "*" | "is" => Some("operator"),
                "(" if is_name(before) && before_that != "|" => Some("call"),
                _ => None,
            };
            if let Some(kind) = refused {
                return Err(BadSource {
                    what: format!("the {kind} {word:?} is not available in a text"),
                    right: "values, comparisons, {% if %} and the filters number, digits, duration, default, \
                            upper, lower, trim, length, first, last, int, round",
                });
            }
            (before_that, before) = (before, word);
        }
    }
    Ok(())
}

/// A name, a string literal, an end of tag or a single sign, and what follows it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let first = text.chars().next()?;
    let length = if let Some(end) = ["}}", "%}"].iter().find(|end| text.starts_with(**end)) {
        end.len()
    } else if first == '"' || first == '\'' {
        let mut escaped = false;
        let end = text.char_indices().skip(1).find(|&(_, c)| {
            let ends = c == first && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        end.map_or(text.len(), |(at, _)| at + 1)
    } else if first == '_' || first.is_alphanumeric() {
        text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len())
    } else {
        first.len_utf8()
    };
    Some(text.split_at(length))
}

fn is_name(word: &str) -> bool {
    let named = word.chars().next().is_some_and(|c| c == '_' || c.is_alphabetic());
    named && !["if", "elif", "else", "and", "or", "not", "in"].contains(&word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(value: Value) -> Values {
        value.as_object().cloned().unwrap_or_default()
    }

    fn refusal(source: &str) -> String {
        Condition::compile(source, &Standard::default()).err().map(|bad| bad.what).unwrap_or_default()
    }

    #[test]
    fn a_condition_compares_what_is_bound() {
        let known =
            values(json!({"n": 3, "f": 2.5, "s": "gold", "list": ["a", 1], "deep": {"x": {"y": null}}}));
        for (source, holds) in [
            ("n == 3", true),
            ("n > 2.5", true),
            ("f < 3", true),
            ("s == 'gold' && n >= 3", true),
            ("s.startsWith('go') || false", true),
            ("'a' in list && !(2 in list)", true),
            ("size(list) == 2", true),
            ("has(deep.x.y) && deep.x.y == null", true),
            ("has(deep.z)", false),
            ("deep.z == 1", false),
            ("n", false),
            ("unknown", false),
            ("unknown == null", true),
            ("unknown.x == 1", false),
            ("n / 0 == 1", false),
            ("n + 9223372036854775807 > 0", false),
            ("n == 'three'", false),
            ("s == 'gold' ? true : false", true),
        ] {
            let condition = Condition::compile(source, &Standard::default()).unwrap();
            assert_eq!(condition.holds(&known), holds, "{source}");
        }
    }

    #[test]
    fn a_condition_that_could_take_long_is_refused() {
        for source in [
            "list.map(x, x + 1) == list",
            "list.filter(x, x > 1) == []",
            "list.all(x, x > 1)",
            "!list.exists(x, x > 1)",
            "[list.exists_one(x, x > 1)] == list",
            "size(list.map(x, x)) > 1",
            "n > 1 ? list.all(x, x > 1) : true",
            "{'a': list.all(x, x > 1)}.a",
            "list[list.map(x, x)[0]] == 1",
        ] {
            assert!(refusal(source).contains("may not loop"), "{source}: {}", refusal(source));
        }
        assert!(refusal("s.matches('(a+)+$')").contains("matches"));
        assert!(refusal("optional.of(s).hasValue()").contains("may not call"));
        assert!(refusal(&"(".repeat(3000)).contains("not a CEL expression"));
        assert!(refusal(&"a".repeat(LONGEST_SOURCE + 1)).contains("long"));
        assert!(refusal("n ==").contains("not a CEL expression"));
    }

    fn render(source: &str, known: Value) -> Result<String, Unrendered> {
        Text::compile(source, Missing::Empty).unwrap().render(&values(known), Language::En)
    }

    #[test]
    fn a_text_reads_values_and_says_nothing_of_those_that_are_not_there() {
        let known = json!({"a": "<b>", "n": 5, "d": {"x": [1, true]}, "none": null});
        for (source, text) in [
            ("plain", "plain"),
            ("{{ a }} {{ n + 1 }}", "<b> 6"),
            ("{{ d.x[1] }}{{ none }}{{ missing }}{{ missing.deeper }}", "true"),
            ("{% if n > 3 and (a) %}many{% elif n %}few{% else %}none{% endif %}", "many"),
            ("{{ missing | default(\"* (is) *\") }}", "* (is) *"),
            ("{{ n | number }} {{ '12' | digits }} {{ 61 | duration }}", "five one two sixty one seconds"),
            ("{# loops: {% for %} #}{{ a | upper | length }}", "3"),
        ] {
            assert_eq!(render(source, known.clone()).as_deref(), Ok(text), "{source}");
        }
        assert_eq!(render("{{ n | number }}", json!({"n": -1})), Err(Unrendered::Failed));
        assert_eq!(render("{{ n | number }}", json!({"n": 1e30})), Err(Unrendered::Failed));
    }

    #[test]
    fn a_text_for_a_connector_fails_for_want_of_a_value() {
        let text = |source: &str| {
            Text::compile(source, Missing::Fails).unwrap().render(&Values::new(), Language::En)
        };
        assert_eq!(text("{{ account }}"), Err(Unrendered::Missing));
        assert_eq!(text("{{ customer.account }}"), Err(Unrendered::Missing));
        assert_eq!(text("{{ account | default(\"x\") }}").as_deref(), Ok("x"));
    }

    #[test]
    fn a_text_that_could_grow_or_fail_for_every_caller_is_refused() {
        for (source, word) in [
            ("{% for x in list %}{{ x }}{% endfor %}", "tag \"for\""),
            ("{%- set x = 1 -%}", "tag \"set\""),
            ("{{ \"x\" * n }}", "operator \"*\""),
            ("{{ a | replace(\"\", b) }}", "filter \"replace\""),
            ("{{ a|upper|wrong }}", "filter \"wrong\""),
            ("{{ range(9) }}", "call"),
            ("{{ a.items() }}", "call"),
            ("{{ a is defined }}", "operator \"is\""),
            ("{{ a", "not a template"),
            ("{% if a %}", "not a template"),
        ] {
            let what = Text::compile(source, Missing::Empty).unwrap_err().what;
            assert!(what.contains(word), "{source}: {what}");
        }
    }

    #[test]
    fn a_text_is_cut_off_by_length_and_work() {
        let long = "x".repeat(LONGEST_TEXT / 2 + 1);
        assert_eq!(render("{{ a }}", json!({"a": long})).map(|text| text.len()), Ok(long.len()));
        assert_eq!(render("{{ a }}{{ a }}", json!({"a": long})), Err(Unrendered::Failed));
    }

    #[test]
    fn data_nested_deeper_than_anyone_needs_reads_as_nothing() {
        let deep = (0..120).fold(json!(1), |inner, _| json!([inner]));
        assert!(render("{{ a }}", json!({"a": deep})).is_ok());
        let condition = Condition::compile("a == a", &Standard::default()).unwrap();
        assert!(condition.holds(&values(json!({"a": deep}))));
    }
}
