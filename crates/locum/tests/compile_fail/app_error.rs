#[derive(locum::AppError)]
enum NoOther {
    Lost,
}

#[derive(locum::AppError)]
struct NoEnum;

#[derive(locum::AppError)]
enum Empty {
    #[app_error(other)]
    Other,
}

#[derive(locum::AppError)]
enum Misspelled {
    #[app_error(codes = 3)]
    Lost,
    #[app_error(other)]
    Other(String),
}

#[derive(locum::AppError)]
#[app_error(bytes)]
enum Unknown {
    #[app_error(other)]
    Other(String),
}

#[derive(locum::AppError)]
enum Two {
    #[app_error(other)]
    First(String),
    #[app_error(other)]
    Second(String),
}

fn main() {}
