//! The demo's small world: its tables, their columns, and the words that people use for them.

use super::{
    draw::Draw,
    query::{Table, Value},
};

/// The largest number in a table or a question; the smallest is 1.
pub(super) const LARGEST: usize = 30;
const ROWS: usize = 12;

pub(super) const PEOPLE: &[&str] = &["Ana", "Ben", "Eva", "Kim", "Leo", "Mia", "Sam", "Tom"];
pub(super) const CITIES: &[&str] = &["Cairo", "Delhi", "Lima", "Oslo", "Paris", "Rome"];
pub(super) const COLORS: &[&str] = &["black", "blue", "green", "red", "white"];
const BRANDS: &[&str] = &["Acme", "Delta", "Nova", "Orion"];

/// A column: its name in SQL, what people call it, and the texts that it holds (none: numbers).
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in SQL.
    pub name: &'static str,
    /// What people say for it.
    pub said: [&'static str; 2],
    /// The texts it may hold; empty for a column of numbers.
    pub texts: &'static [&'static str],
}

const fn number(name: &'static str, said: [&'static str; 2]) -> Column {
    Column { name, said, texts: &[] }
}

const fn text(name: &'static str, said: [&'static str; 2], texts: &'static [&'static str]) -> Column {
    Column { name, said, texts }
}

const AGE: Column = number("age", ["years", "seniority"]);
const AREA: Column = number("area", ["extent", "space"]);
const MASS: Column = number("mass", ["weight", "heaviness"]);
const PAGES: Column = number("pages", ["length", "sheets"]);
const PRICE: Column = number("price", ["cost", "charge"]);
const ROOMS: Column = number("rooms", ["chambers", "halls"]);
const SCORE: Column = number("score", ["points", "rating"]);
const SEATS: Column = number("seats", ["chairs", "capacity"]);
const SIZE: Column = number("size", ["height", "bulk"]);
const SPEED: Column = number("speed", ["pace", "velocity"]);
const STOCK: Column = number("stock", ["supply", "reserve"]);
const WAGE: Column = number("wage", ["pay", "income"]);
const CITY: Column = text("city", ["town", "home"], CITIES);
const COLOR: Column = text("color", ["paint", "shade"], COLORS);
const MAKER: Column = text("maker", ["brand", "firm"], BRANDS);
const NAME: Column = text("name", ["label", "title"], PEOPLE);
const OWNER: Column = text("owner", ["holder", "boss"], PEOPLE);

/// A table that schemas are made from: its name in SQL, what people call its rows, its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The name in SQL.
    pub table: &'static str,
    /// What people say for the rows.
    pub said: [&'static str; 2],
    /// All columns that the table may have.
    pub columns: [&'static Column; 8],
}

const fn topic(table: &'static str, said: [&'static str; 2], columns: [&'static Column; 8]) -> Topic {
    Topic { table, said, columns }
}

/// Every table of the world.
pub const TOPICS: &[Topic] = &[
    topic("boats", ["ships", "vessels"], [&NAME, &OWNER, &COLOR, &SEATS, &SPEED, &MASS, &PRICE, &CITY]),
    topic("books", ["novels", "volumes"], [&NAME, &OWNER, &MAKER, &PAGES, &PRICE, &SCORE, &STOCK, &AGE]),
    topic("cars", ["vehicles", "autos"], [&NAME, &MAKER, &COLOR, &SEATS, &SPEED, &PRICE, &AGE, &STOCK]),
    topic("dogs", ["hounds", "pets"], [&NAME, &OWNER, &COLOR, &AGE, &MASS, &SIZE, &SPEED, &CITY]),
    topic("games", ["matches", "plays"], [&NAME, &MAKER, &CITY, &SCORE, &PRICE, &STOCK, &SEATS, &AGE]),
    topic("hotels", ["inns", "lodges"], [&NAME, &OWNER, &CITY, &ROOMS, &SEATS, &SCORE, &PRICE, &AREA]),
    topic("parks", ["gardens", "meadows"], [&NAME, &OWNER, &CITY, &AREA, &AGE, &SEATS, &SCORE, &SIZE]),
    topic("shops", ["stores", "markets"], [&NAME, &OWNER, &CITY, &STOCK, &ROOMS, &AREA, &SCORE, &WAGE]),
    topic("staff", ["workers", "clerks"], [&NAME, &CITY, &OWNER, &AGE, &WAGE, &SCORE, &SIZE, &MASS]),
    topic("toys", ["dolls", "gadgets"], [&NAME, &MAKER, &COLOR, &PRICE, &STOCK, &SIZE, &MASS, &PAGES]),
];

/// Every word of the world, those for numbers aside.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let columns = || TOPICS.iter().flat_map(|topic| topic.columns);
    let named = TOPICS.iter().flat_map(Topic::words).chain(columns().flat_map(Column::words));
    named.chain(columns().flat_map(|column| column.texts.iter().copied()))
}

impl Topic {
    /// The words for the table, its name first.
    pub(super) const fn words(&self) -> [&'static str; 3] {
        [self.table, self.said[0], self.said[1]]
    }
}

impl Column {
    /// The words for the column, its name first.
    pub(super) const fn words(&self) -> [&'static str; 3] {
        [self.name, self.said[0], self.said[1]]
    }

    /// A value that the column may hold.
    pub(super) fn value(&self, draw: &mut Draw) -> Value {
        match self.texts {
            [] => Value::Int(i64::try_from(draw.between(1, LARGEST)).unwrap_or(i64::MAX)),
            texts => Value::Text(draw.pick(texts).to_owned()),
        }
    }
}

/// A table with three to five of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The table.
    pub topic: Topic,
    /// Its columns, at least one of which holds numbers.
    pub columns: Vec<&'static Column>,
}

impl Schema {
    pub(super) fn new(draw: &mut Draw) -> Self {
        let topic = draw.pick(TOPICS);
        loop {
            let count = draw.between(3, 5);
            let columns = draw.sample(&topic.columns, count);
            if columns.iter().any(|column| column.texts.is_empty()) {
                return Self { topic, columns };
            }
        }
    }

    /// Whether this set of columns is kept for validation: every sixth or so, by a checksum of the
    /// names, whatever their order.
    pub(super) fn held_out(&self) -> bool {
        let names = self.columns.iter().flat_map(|column| column.name.bytes());
        names.chain(self.topic.table.bytes()).map(usize::from).sum::<usize>() % 6 == 0
    }

    /// The table filled with random rows.
    pub(super) fn table(&self, draw: &mut Draw) -> Table {
        let mut row = || self.columns.iter().map(|column| column.value(draw)).collect();
        Table {
            name: self.topic.table.to_owned(),
            columns: self.columns.iter().map(|column| column.name.to_owned()).collect(),
            rows: (0..ROWS).map(|_| row()).collect(),
        }
    }
}

/// `table(column column …)`, as a prompt shows it.
impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        write!(f, "{}({})", self.topic.table, names.join(" "))
    }
}
