//! Lists filtered, sorted and changed.

use std::borrow::Cow;

use super::*;
use crate::{
    filter::Subject,
    nouns::Field,
    render::{Table, View},
};

struct Row(&'static str, u32);

impl Subject for Row {
    fn field(&self, name: &str) -> Option<String> {
        (name == "n").then(|| self.1.to_string())
    }
    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(self.0)
    }
}

impl Noun for Row {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME"), |row, _| row.0.into()).sorted(|a, b| a.0.cmp(b.0)),
        Field::<Self>::new(Column::number("N"), |row, _| row.1.to_string().into())
            .sorted(|a, b| a.1.cmp(&b.1)),
    ];
    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }
    fn name(&self) -> &str {
        self.0
    }
    fn details(&self, _: &View<'_>) -> Table {
        Table::pairs()
    }
}

fn list() -> List<Row> {
    let mut list = List::default();
    list.set(vec![Row("c", 1), Row("a", 3), Row("b", 2)], 1);
    list
}

fn names(list: &List<Row>) -> String {
    (0..list.counts().0).filter_map(|row| list.shown(row)).map(Noun::name).collect()
}

#[test]
fn the_chosen_row_stays_wherever_it_goes() {
    let mut list = list();
    assert_eq!(names(&list), "abc");
    list.go(1);
    assert_eq!(list.chosen_name().as_deref(), Some("b"));
    list.sort(&[0, 1]);
    list.reverse();
    assert_eq!((names(&list).as_str(), list.at()), ("abc", 1));
    list.put(Row("b", 9), 2);
    assert_eq!((names(&list).as_str(), list.at()), ("bac", 0));
    list.remove("b");
    assert_eq!((names(&list).as_str(), list.chosen_name().as_deref()), ("ac", Some("a")));
    list.clear();
    assert_eq!(list.chosen_name(), None);
    list.go(-3);
    list.find(true);
    list.mark();
    list.set(vec![Row("x", 1)], 3);
    assert_eq!(list.chosen_name().as_deref(), Some("x"));
}

#[test]
fn only_columns_that_are_seen_are_sorted_by() {
    let mut list = list();
    list.sort(&[0]);
    assert_eq!(names(&list), "abc", "there is no other");
    list.sort(&[0, 1, 2]);
    assert_eq!((names(&list).as_str(), list.sorted()), ("cba", Some(1)));
    list.sort(&[0]);
    assert_eq!(list.sorted(), Some(0), "round from one that is hidden");
    list.sort(&[]);
    assert_eq!(list.sorted(), Some(0));
}

#[test]
fn what_is_wanted_is_chosen_once_it_is_there() {
    let mut list = list();
    list.want("b");
    assert_eq!(list.chosen_name().as_deref(), Some("b"));
    list.want("d");
    assert_eq!(list.chosen_name().as_deref(), Some("b"), "it is not there");
    list.put(Row("d", 4), 2);
    assert_eq!(list.chosen_name().as_deref(), Some("d"));
    list.want("e");
    list.go(-1);
    list.put(Row("e", 5), 3);
    assert_eq!(list.chosen_name().as_deref(), Some("c"), "whoever moved wants something else");
}

#[test]
fn filters_hide_and_searches_go_on() {
    let mut list = list();
    list.set_filter(Filter::parse("n:>1").unwrap());
    assert_eq!((names(&list).as_str(), list.counts()), ("ab", (2, 3)));
    list.set_filter(None);
    assert_eq!(names(&list), "abc");
    assert!(list.find(true));
    assert_eq!(list.at(), 1);
    assert!(list.find(true));
    assert_eq!(list.at(), 0, "from the end it goes on at the beginning");
    assert!(list.find(false));
    assert_eq!(list.at(), 1);
}

#[test]
fn marks_are_what_is_acted_on() {
    let mut list = list();
    assert_eq!(list.targets().len(), 1);
    list.mark();
    list.mark();
    let marked: String = list.targets().into_iter().map(Noun::name).collect();
    assert_eq!((marked.as_str(), list.marks(), list.at()), ("ab", 2, 2));
    list.remove("a");
    assert_eq!(list.marks(), 1, "what is gone is not marked");
    list.unmark();
    assert_eq!(list.targets().len(), 1);
}
