//! What is known of recipients.

use api::spool::v1 as pb;
use spool::{
    Fact, Learned, Lessons, Timestamp,
    recipients::{News, Source},
};

use super::CodecError;

pub(crate) fn learned_to(learned: Learned) -> pb::Learned {
    pb::Learned {
        valid: learned.is_valid,
        at_ms: learned.at.0,
        source: source_to(learned.from) as i32,
        policy_version: learned.policy_version,
    }
}

pub(crate) fn learned_from(learned: pb::Learned) -> Result<Learned, CodecError> {
    Ok(Learned {
        is_valid: learned.valid,
        at: Timestamp(learned.at_ms),
        from: source_from(learned.source())?,
        policy_version: learned.policy_version,
    })
}

pub(super) fn lessons_to(lessons: Lessons) -> pb::Lessons {
    pb::Lessons {
        at_ms: lessons.at.0,
        facts: lessons.facts.into_iter().map(fact_to).collect(),
        policy_version: lessons.policy_version,
    }
}

pub(super) fn lessons_from(lessons: pb::Lessons) -> Result<Lessons, CodecError> {
    let facts = lessons.facts.into_iter().map(fact_from);
    Ok(Lessons {
        at: Timestamp(lessons.at_ms),
        facts: facts.collect::<Result<_, _>>()?,
        policy_version: lessons.policy_version,
    })
}

fn fact_to(fact: Fact) -> pb::Fact {
    use pb::fact::News as Kind;
    let (news, source) = match fact.news {
        News::Valid(source) => (Kind::Valid, source_to(source)),
        News::Unknown(source) => (Kind::Unknown, source_to(source)),
        News::Nothing => (Kind::Nothing, pb::learned::Source::Unspecified),
    };
    pb::Fact {
        domain: fact.domain,
        address: fact.address,
        news: news as i32,
        source: source as i32,
    }
}

fn fact_from(fact: pb::Fact) -> Result<Fact, CodecError> {
    use pb::fact::News as Kind;
    let source = || source_from(fact.source());
    let news = match fact.news() {
        Kind::Valid => News::Valid(source()?),
        Kind::Unknown => News::Unknown(source()?),
        Kind::Nothing => News::Nothing,
        Kind::Unspecified => {
            return Err(CodecError::Missing {
                what: "fact of a recipient",
            });
        }
    };
    Ok(Fact {
        domain: fact.domain,
        address: fact.address,
        news,
    })
}

const fn source_to(source: Source) -> pb::learned::Source {
    match source {
        Source::Delivery => pb::learned::Source::Delivery,
        Source::Probe => pb::learned::Source::Probe,
        Source::Operator => pb::learned::Source::Operator,
    }
}

const fn source_from(source: pb::learned::Source) -> Result<Source, CodecError> {
    match source {
        pb::learned::Source::Delivery => Ok(Source::Delivery),
        pb::learned::Source::Probe => Ok(Source::Probe),
        pb::learned::Source::Operator => Ok(Source::Operator),
        pb::learned::Source::Unspecified => Err(CodecError::Missing {
            what: "source of what is known of a recipient",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let sources = [Source::Delivery, Source::Probe, Source::Operator];
        for from in sources {
            for is_valid in [true, false] {
                let at = Timestamp(u64::MAX);
                let learned = Learned {
                    is_valid,
                    at,
                    from,
                    policy_version: 3,
                };
                assert_eq!(learned_from(learned_to(learned)).unwrap(), learned);
            }
        }
        let news = sources.map(News::Valid).into_iter();
        let news = news
            .chain(sources.map(News::Unknown))
            .chain([News::Nothing]);
        let facts = news.map(|news| Fact {
            domain: "*.example.com".to_owned(),
            address: "a@b.example.com".to_owned(),
            news,
        });
        let lessons = Lessons {
            at: Timestamp(7),
            policy_version: 3,
            facts: facts.collect(),
        };
        assert_eq!(lessons_from(lessons_to(lessons.clone())).unwrap(), lessons);
    }

    #[test]
    fn what_a_newer_version_wrote_is_not_guessed() {
        assert!(
            lessons_from(pb::Lessons {
                at_ms: 1,
                facts: vec![pb::Fact::default()],
                policy_version: 0,
            })
            .is_err()
        );
        assert!(learned_from(pb::Learned::default()).is_err());
    }
}
