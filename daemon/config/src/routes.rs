//! Groups of routes, and who may ask them.

use aivonx_protocol::route::{RouteGroup, RouteRule};

use super::{
    kind::{Kind, Problem, Value, quoted, wrong_type},
    mistake::quote,
    suggest::nearest,
};

/// A table of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Routes;

impl Kind<Vec<(RouteGroup, RouteRule)>> for Routes {
    fn read(&self, value: &Value<'_>) -> Result<Vec<(RouteGroup, RouteRule)>, Vec<Problem>> {
        let Some(table) = value.get_ref().as_table() else {
            return wrong_type(value.get_ref(), "a table").one();
        };
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        for (name, value) in table.iter() {
            let word = name.get_ref().as_ref();
            let Some(group) = RouteGroup::ALL.into_iter().find(|group| group.as_str() == word) else {
                let problem = Problem::new(format!("has {}, which is no group of routes", quote(word)));
                let near = nearest(word, RouteGroup::ALL.map(RouteGroup::as_str));
                let problem = match near {
                    Some(near) => problem.fix(format!("did you mean {near}?")),
                    None => problem,
                };
                problems.push(Problem { span: Some(name.span()), ..problem });
                continue;
            };
            match value.get_ref().as_str().map(str::parse::<RouteRule>) {
                // Nobody has an account without logging in, and none of the scopes is about it.
                Some(Ok(RouteRule::Anonymous | RouteRule::Scope(_))) if group == RouteGroup::Account => {
                    let problem = Problem::new("opens account, which is off or as it is (key)");
                    problems.push(Problem { span: Some(value.span()), ..problem });
                }
                Some(Ok(rule)) => rules.push((group, rule)),
                Some(Err(error)) => {
                    let problem = Problem::new(format!("has a rule for {word} that is none: {error}"));
                    problems.push(Problem { span: Some(value.span()), ..problem });
                }
                None => {
                    let problem = wrong_type(value.get_ref(), "a string");
                    problems.push(Problem { span: Some(value.span()), ..problem });
                }
            }
        }
        rules.sort_by_key(|(group, _)| *group);
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    fn show(&self, rules: &Vec<(RouteGroup, RouteRule)>) -> String {
        if rules.is_empty() {
            return "{}".into();
        }
        let each =
            rules.iter().map(|(group, rule)| format!("{} = {}", group.as_str(), quoted(&rule.to_string())));
        format!("{{ {} }}", each.collect::<Vec<_>>().join(", "))
    }

    fn accepted(&self) -> String {
        "a table such as { management = \"off\", diagnostics = \"admin:read\" }; {} leaves all as it is"
            .into()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aivonx_protocol::key::KeyScope;

    use super::*;
    use crate::load::parse;

    #[test]
    fn groups_are_read_and_shown() {
        let of = |text: &str| parse(Path::new("f"), &format!("[[listen]]\n{text}"));
        let loaded =
            of("routes = { models = 'key', inference = 'models:read', management = 'off' }").unwrap();
        let rules = &loaded.config.listen[0].routes;
        assert_eq!(
            rules[..],
            [
                (RouteGroup::Inference, RouteRule::Scope(KeyScope::ModelsRead)),
                (RouteGroup::Models, RouteRule::Key),
                (RouteGroup::Management, RouteRule::Off),
            ]
        );
        let shown = Routes.show(rules);
        assert_eq!(of(&format!("routes = {shown}")).unwrap().config.listen[0].routes, *rules);
        assert_eq!(of("[listen.routes]\nopen = 'off'").unwrap().config.listen[0].routes.len(), 1);
        for (text, part) in [
            ("routes = { modles = 'key' }", "did you mean models?"),
            ("routes = { models = 'open' }", "it is no access"),
            ("routes = { models = 1 }", "is an integer"),
            ("routes = { account = 'anonymous' }", "opens account"),
        ] {
            let said = of(text).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
