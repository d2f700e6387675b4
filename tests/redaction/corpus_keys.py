"""Sensitive keys and their values, in every notation that logs and configuration use. Every secret is made up."""

from __future__ import annotations

import json
from typing import Final

from tests.redaction.case import Case, j

PW: Final = j("kT7", "-velvet", "_Anchor", "42")
HEX: Final = j("c4d0e8f1", "97b35a62", "1f6e09d8", "b7a4c513")
ODD: Final = j("p@ss", "/w0rd", "?&x#", "99")
QUOTED: Final = j('a"b', "\\c'", "d9Xy", "w")


def _nested(value: object, depth: int) -> str:
    text = json.dumps(value)
    for _ in range(depth):
        text = json.dumps({"message": text, "level": "info"})
    return text


def _case(name: str, text: str, *kept: str, gone: tuple[str, ...] = (PW,)) -> Case:
    return Case(name, text, gone, kept)


KEYS: Final = (
    # JSON
    _case("json", _nested({"db": "shop", "password": PW, "port": 5432}, 0), '"db": "shop"', '"port": 5432'),
    _case("json one level deep", _nested({"db": "shop", "password": PW}, 1), "shop", "info"),
    _case("json two levels deep", _nested({"db": "shop", "password": PW}, 2), "shop"),
    _case("json three levels deep", _nested({"db": "shop", "password": PW}, 3), "shop"),
    _case("json with quotes in the value", _nested({"a": 1, "secret_key": QUOTED, "z": "end"}, 0), '"z": "end"', gone=("d9Xyw",)),
    _case("json with quotes, one level deep", _nested({"secret_key": QUOTED, "z": "end"}, 1), "end", gone=("d9Xyw",)),
    _case("json compact", f'{{"user":"kim","passwd":"{PW}","n":1}}', '"user":"kim"', '"n":1'),
    _case("json number", '{"pin_code":1,"db_password":48151623,"port":80}', '"port":80', gone=("48151623",)),
    _case("json pretty", json.dumps({"client_secret": PW, "grant": "code"}, indent=2), '"grant": "code"'),
    _case("json list of values", json.dumps({"password": [PW, HEX], "hosts": ["a", "b"]}), '"hosts": ["a", "b"]', gone=(PW, HEX)),
    _case("json name and value", json.dumps({"name": "API_KEY", "value": PW, "secret": False}), '"secret": false'),
    _case("json key and value",
         json.dumps([{"key": "password", "value": PW}, {"key": "mode", "value": "fast"}]), '"value": "fast"'),
    _case("json name and value, pretty",
         json.dumps([{"name": "DB_PASS", "value": PW}, {"name": "A", "value": "b"}], indent=4), '"b"'),
    _case("json with slashes", f'{{"url":"postgres:\\/\\/app:{PW}@db:5432\\/shop","ok":true}}', '"ok":true', "@db:5432"),
    _case("json in url encoding", f"POST /log?d=%7B%22password%22%3A%22{PW}%22%2C%22n%22%3A1%7D 200", "%22n%22%3A1", "200"),
    _case("html entities", f"<td>{{&quot;password&quot;:&quot;{PW}&quot;,&quot;n&quot;:1}}</td>", "&quot;n&quot;:1"),
    _case("json cut in the value", f'{{"level":"info","apiKey":"{PW[:12]}', '"level":"info"', gone=(PW[:12],)),
    _case("json cut in the value, nested", _nested({"password": PW}, 1)[:-30], gone=(PW[:8],)),
    # YAML
    _case("yaml", f"db:\n  host: prod-db\n  password: {PW}\n  port: 5432", "host: prod-db", "port: 5432"),
    _case("yaml with a comment", f"password: {PW} # rotate me\nname: x", "name: x"),
    _case("yaml with spaces in the value", "passphrase: four Words in1 Row\nname: x", "name: x", gone=("four Words in1 Row",)),
    _case("yaml in double quotes", f'  apiToken: "{PW}"\n  name: x', "name: x"),
    _case("yaml in single quotes", "  apiToken: 'it''s-a-Secret-5'\n  name: x", "name: x", gone=("s-a-Secret-5",)),
    _case("yaml folded", f"  signingKey: >-\n    {PW}\n    {HEX}\n  name: x", "name: x", gone=(PW, HEX)),
    _case("yaml literal, indented by number", f"privateKey: |2\n    {PW}\nname: x", "name: x"),
    _case("yaml on the next line", f"password:\n  {PW}\nname: x", "name: x"),
    _case("yaml list of flags", f"args:\n- --token\n- {PW}\n- --port\n- '8080'", "- --port", "'8080'"),
    _case("yaml list of flags with values", f"args:\n- --token={PW}\n- --port=8080", "--port=8080"),
    _case("yaml flow", f"{{host: db, password: {PW}, port: 1}}", "host: db", "port: 1"),
    _case("yaml env pairs", f"- name: DB_PASSWORD\n  value: {PW}\n- name: MODE\n  value: fast", "value: fast"),
    _case("yaml env pairs, quoted", f'- name: "DB_PASSWORD"\n  value: "{PW}"\n- name: MODE\n  value: "fast"', '"fast"'),
    _case("yaml env pairs, block",
         f"- name: LICENSE_KEY\n  value: |\n    {PW}\n    {HEX}\n- name: MODE", "name: MODE", gone=(PW, HEX)),
    _case("yaml cut in the value", f"mode: fast\npassword: {PW[:9]}", "mode: fast", gone=(PW[:9],)),
    # key=value
    _case("env", f"DB_HOST=prod-db\nDB_PASSWORD={PW}\nDB_PORT=5432", "DB_HOST=prod-db", "DB_PORT=5432"),
    _case("env, exported", f"export API_TOKEN='{PW}'; ./run.sh --fast", "./run.sh --fast"),
    _case("env of a Backstop fact", f"env DB_PASSWORD={PW}\nenv MODE=fast", "env MODE=fast"),
    _case("logfmt", f'level=info msg="connect" user=app password={PW} port=5432', 'msg="connect"', "port=5432"),
    _case("logfmt, quoted", f'level=info password="{PW} x" port=5432', "port=5432"),
    _case("logfmt within a quoted message", f'level=info msg="dial host=db password={PW}" took=3ms', "took=3ms", "host=db"),
    _case("logfmt cut", f"level=info user=app secret={PW[:10]}", "user=app", gone=(PW[:10],)),
    _case("properties", f"spring.mail.password = {PW}\nserver.port = 8080", "server.port = 8080"),
    _case("ini", f"[database]\npasswd: {PW}\nuser: app", "user: app", "[database]"),
    _case("toml", f'[auth]\nclient_secret = "{PW}"\nissuer = "https://id"', 'issuer = "https://id"'),
    _case("semicolons", f"Data Source=db;User Id=app;Pwd={PW};Pooling=true", "Data Source=db", "Pooling=true"),
    _case("commas", f"host=db,password={PW},ssl=on", "host=db", "ssl=on"),
    _case("a value with commas", f"password={PW},77;x9 port=1", "port=1"),
    _case("query", f"GET /a?api_key={PW}&page=2 HTTP/1.1", "page=2", "HTTP/1.1"),
    _case("query, encoded", f"GET /a?next=%2Fb%3Faccess_token%3D{PW}%26page%3D2 200", "page%3D2", "200"),
    _case("form", f"body: grant_type=password&username=kim&password={PW}&scope=all", "username=kim", "scope=all"),
    _case("php array", f"user[password]={PW}&user[name]=kim", "user[name]=kim"),
    _case("libpq", f"host=db user=app password={PW} sslmode=disable", "host=db user=app", "sslmode=disable"),
    _case("libpq, quoted", "host=db password='two w0rds here' sslmode=disable", "sslmode=disable", gone=("two w0rds here",)),
    # programs' own notations
    _case("go, %+v", f"{{Host:db User:app Password:{PW} TLS:true}}", "Host:db User:app", "TLS:true"),
    _case("go, %#v", f'main.Config{{Host:"db", Password:"{PW}", Max:3}}', 'Host:"db"', "Max:3"),
    _case("go, bytes", f'Token:[]byte("{PW}"), Max:3', "Max:3"),
    _case("go, env vars", f"EnvVar{{Name:DB_PASSWORD,Value:{PW},ValueFrom:nil,}},EnvVar{{Name:A,Value:bee}}", "Value:bee"),
    _case("go, map", f"map[password:{PW} user:app]", "user:app"),
    _case("python dict", f"{{'user': 'app', 'password': '{PW}', 'n': 3}}", "'user': 'app'", "'n': 3"),
    _case("python call", f"connect(host='db', password='{PW}', port=1)", "host='db'", "port=1"),
    _case("python bytes", f"token=b'{PW}', n=1", "n=1"),
    _case("python secret", f"Settings(password=SecretStr('{PW}'), n=1)", "n=1"),
    _case("python pairs", f"[('X-Api-Key', '{PW}'), ('Accept', 'text/html')]", "('Accept', 'text/html')"),
    _case("ruby", f'{{"password"=>"{PW}", "id"=>7}}', '"id"=>7'),
    _case("ruby symbols", f"{{:password=>'{PW}', :id=>7}}", ":id=>7"),
    _case("rust", f'Config {{ host: "db", token: Some("{PW}"), n: 1 }}', 'host: "db"', "n: 1"),
    _case("java", f"Config[user=app, password={PW}, max=3]", "user=app", "max=3"),
    _case("php", f"'password' => '{PW}',\n'driver' => 'mysql',", "'driver' => 'mysql'"),
    _case("powershell", f'$env:DB_PASSWORD = "{PW}"; $x = 1', "$x = 1"),
    _case("terraform", f'resource "db" {{\n  password = "{PW}"\n  size = 3\n}}', "size = 3"),
    _case("dockerfile", f"ENV APP_SECRET {PW}\nEXPOSE 8080", "EXPOSE 8080"),
    _case("redis configuration", f"requirepass {PW}\nmaxmemory 2gb", "maxmemory 2gb"),
    # XML
    _case("xml", f"<user>app</user><password>{PW}</password><port>1</port>", "<user>app</user>", "<port>1</port>"),
    _case("xml with a namespace", f"<ws:Password Type='Text'>{PW}</ws:Password>", "Type='Text'"),
    _case("xml attribute", f'<db user="app" password="{PW}" port="1"/>', 'user="app"', 'port="1"'),
    _case("xml name and value", f'<property name="db.password" value="{PW}"/>', "db.password"),
    _case("xml entry", f'<entry key="api.secret">{PW}</entry>', "api.secret"),
    # prose
    _case("prose with a colon", f"login failed, password: {PW} (attempt 3)", "(attempt 3)"),
    _case("prose with quotes", f"the password '{PW}' was rejected", "was rejected"),
    _case("prose with an equals sign", f"Invalid token={PW}, giving up", "giving up"),
    _case("api key in two words", f"using API key: {PW} now", "now"),
    _case("symbols in the value", f'password="{ODD}" next=1', "next=1", gone=(ODD,)),
    _case("only symbols", 'password="!$%^*!!$%^" next=1', "next=1", gone=("!$%^*!!$%^",)),
    _case("a word and an @", f"password={j('Summer', '@', '2024')} next=1", "next=1", gone=(j("Summer", "@", "2024"),)),
    _case("starts with a dollar", f"password={j('$', 'ecret', 'w0rd')} next=1", "next=1", gone=(j("$", "ecret", "w0rd"),)),
    _case("in brackets", f"password={j('[secret', ']Hunter', '21')} next=1", "next=1", gone=("Hunter21",)),
)  # fmt: skip
