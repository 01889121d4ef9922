//! What the `Effects` of the two dialects have in common: sets of named flags.

/// Gives `Effects(u32)`, declared beside it, its flags and the operations of a set.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Effects {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every flag with its name, lowest bit first.
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];

            /// No effect.
            pub const NONE: Self = Self(0);

            /// Every effect: for a text that cannot be judged.
            pub const fn all() -> Self {
                let mut all = Self::NONE;
                let mut at = 0;
                while at < Self::NAMES.len() {
                    all = all.union(Self::NAMES[at].0);
                    at += 1;
                }
                all
            }

            /// The effects of either.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The effects of this that are not in `other`.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Whether all of `other` are in this.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of `other` is in this.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether there is none.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The names of the effects, for logs and the console.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
            }
        }

        impl std::ops::BitOr for Effects {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for Effects {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl std::fmt::Debug for Effects {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Effects(")?;
                for (at, name) in self.names().enumerate() {
                    f.write_str(if at == 0 { "" } else { " | " })?;
                    f.write_str(name)?;
                }
                f.write_str(")")
            }
        }
    };
}

pub(crate) use flags;
