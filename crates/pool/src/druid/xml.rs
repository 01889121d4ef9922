//! Beans of Spring's XML.
//!
//! A reader of tags and not of XML: the examples that people copy are none (`&rewriteBatchedStatements=true` in an attribute), and
//! Spring's own files mean nothing by what else XML has.

use super::{Bean, Error};

/// A tag.
#[derive(Debug)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Opening,
    Closing,
    Empty,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Without the prefix of its namespace.
    fn is(&self, name: &str) -> bool {
        self.name.rsplit(':').next() == Some(name)
    }
}

/// A bean that is being read.
struct Open {
    bean: Bean,
    is_druid: bool,
}

/// A property whose value is in elements of its own.
struct Pending {
    name: String,
    values: Vec<String>,
}

/// Every bean of the class `DruidDataSource`; properties outside of all beans are taken for those of one.
pub(super) fn beans(text: &str) -> Result<Vec<Bean>, Error> {
    let mut found = Vec::new();
    let mut bare = Bean::default();
    let mut open: Vec<Open> = Vec::new();
    let mut pending: Option<Pending> = None;
    let mut rest = text;
    while let Some((before, after)) = next_tag(rest) {
        rest = after;
        let (tag, after) = read_tag(rest).ok_or_else(|| Error::OpenTag { line: line_of(text, rest) })?;
        rest = after;
        if let Some(pending) = pending.as_mut().filter(|_| tag.kind == Kind::Closing && tag.is("value")) {
            pending.values.push(unescape(before.trim()));
        }
        let bean = open.last_mut().map_or(&mut bare, |open| &mut open.bean);
        match tag.kind {
            Kind::Closing if tag.is("property") => {
                bean.properties.extend(pending.take().map(|pending| (pending.name, pending.values.join("; "))));
            }
            Kind::Closing if tag.is("bean") => found.extend(open.pop().filter(|open| open.is_druid).map(|o| o.bean)),
            Kind::Closing => {}
            _ if tag.is("property") => {
                let Some(name) = tag.attribute("name").map(str::to_owned) else { continue };
                match tag.attribute("value").or_else(|| tag.attribute("ref")) {
                    Some(value) => bean.properties.push((name, value.to_owned())),
                    None if tag.kind == Kind::Opening => pending = Some(Pending { name, values: Vec::new() }),
                    None => {}
                }
            }
            kind if tag.is("bean") => {
                let new = begin(&tag);
                if kind == Kind::Opening {
                    open.push(new);
                } else {
                    found.extend(Some(new).filter(|new| new.is_druid).map(|new| new.bean));
                }
            }
            _ => {}
        }
    }
    if !bare.properties.is_empty() {
        found.push(bare);
    }
    Ok(found)
}

fn begin(tag: &Tag) -> Open {
    let class = tag.attribute("class").unwrap_or_default();
    let name = tag.attribute("id").or_else(|| tag.attribute("name")).map(Into::into);
    // `p:maxActive="20"` is a property too.
    let short = tag.attributes.iter().filter_map(|(key, value)| Some((key.strip_prefix("p:")?.into(), value.clone())));
    Open { bean: Bean { name, properties: short.collect() }, is_druid: class.contains("DruidDataSource") }
}

/// The text before the next tag, and the text from behind its bracket; comments, declarations and CDATA are none.
fn next_tag(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('<')?;
        let after = &text[at + 1..];
        let end = match after {
            _ if after.starts_with("!--") => "-->",
            _ if after.starts_with("![CDATA[") => "]]>",
            _ if after.starts_with('?') => "?>",
            _ if after.starts_with('!') => ">",
            _ => return Some((text[..at].rsplit("-->").next().unwrap_or_default(), after)),
        };
        from = at + 1 + after.find(end)? + end.len();
    }
}

/// Reads a tag from behind its first bracket; `None`: it has no end.
fn read_tag(text: &str) -> Option<(Tag, &str)> {
    let (closing, mut rest) = text.strip_prefix('/').map_or((false, text), |rest| (true, rest));
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))?;
    let name = rest[..end].to_owned();
    rest = &rest[end..];
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return Some((Tag { name, attributes, kind: Kind::Empty }, after));
        }
        if let Some(after) = rest.strip_prefix('>') {
            let kind = if closing { Kind::Closing } else { Kind::Opening };
            return Some((Tag { name, attributes, kind }, after));
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))?;
        let key = &rest[..end];
        rest = rest[end..].trim_start();
        let Some(value) = rest.strip_prefix('=').map(str::trim_start) else {
            // A stray character, or an attribute without a value.
            rest = if key.is_empty() { rest.strip_prefix('/')? } else { rest };
            continue;
        };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = value[1..].split_once(quote)?;
        attributes.push((key.to_owned(), unescape(value)));
        rest = after;
    }
}

/// Replaces the entities of XML. An ampersand that begins none stays, as people write them in URLs.
fn unescape(text: &str) -> String {
    let text = text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or(text);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

fn line_of(text: &str, rest: &str) -> usize {
    text[..text.len() - rest.len()].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        beans(text).unwrap().into_iter().flat_map(|bean| bean.properties).collect()
    }

    #[test]
    fn each_way_of_writing_a_property_is_read() {
        for text in [
            "<property name=\"a\" value=\"1 & 2\"/>",
            "<property name='a' value='1 &amp; 2'></property>",
            "<property name=\"a\"><value>1 &amp; 2</value></property>",
            "<property name=\"a\"><!-- <x> --><value> 1 & 2 </value></property>",
            "<property name=\"a\"><value><![CDATA[1 & 2]]></value></property>",
            "<?xml version='1.0'?><!DOCTYPE x><!-- <property name='b' value='3'/> --><property value='1 & 2' name='a' />",
            "<b:bean class='x.DruidDataSource' p:a='1 & 2'/>",
        ] {
            assert_eq!(read(text), [("a".to_owned(), "1 & 2".to_owned())], "{text}");
        }
        let list = "<property name='a'><list><value>x</value><value>y</value></list></property>";
        assert_eq!(read(list), [("a".to_owned(), "x; y".to_owned())]);
    }

    #[test]
    fn only_beans_of_druid_count_and_each_has_its_own() {
        let text = "<beans><bean id='other' class='x.Other'><property name='a' value='1'/></bean>\
                    <bean id='one' class='com.alibaba.druid.pool.DruidDataSource'><property name='a' value='2'/>\
                    <property name='filters'><bean class='x.Filter'><property name='b' value='3'/></bean></property></bean>\
                    <bean id='two' class='com.alibaba.druid.pool.DruidDataSource'><property name='a' value='4'/></bean></beans>";
        let found = beans(text).unwrap();
        let named: Vec<_> = found.iter().map(|bean| (bean.name.as_deref().unwrap(), bean.get("a").unwrap())).collect();
        assert_eq!(named, [("one", "2"), ("two", "4")]);
        assert_eq!(found[0].get("b"), None);
    }

    #[test]
    fn a_tag_without_an_end_is_told() {
        for text in
            ["<a\n\n<property name=\"x", "<beans>\n\n<property name=\"x\" value=\"", "<beans>\n\n</", "\n\n<a b=c>"]
        {
            assert!(matches!(beans(text), Err(Error::OpenTag { .. })), "{text}");
        }
    }

    /// Whatever is cut off or doubled: an answer, and no panic.
    #[test]
    fn mutilated_text_is_read_in_peace() {
        let text = "<?x?><!-- é --><bean class=\"DruidDataSource\" p:é='&amp;'><property name=\"a\"><value><![CDATA[é]]></value>\
                    </property><property name='b' value='é'/></bean>";
        for (at, _) in text.char_indices() {
            for piece in [&text[..at], &text[at..]] {
                let _ = beans(piece);
                let _ = beans(&format!("{piece}{text}"));
                let _ = beans(&format!("{}{}", &text[..at], &text[at..].replacen('<', "", 1)));
            }
        }
    }
}
