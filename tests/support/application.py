"""An image with an application's parts: nginx, redis and postgresql on a Debian base, and what looks at networks."""

from __future__ import annotations

from pathlib import Path

from tests.support import images

# The parts of an application on one Debian base. nginx serves what redis and postgresql say, by a shell script behind
# fcgiwrap, which finds both by their names.
_PAGE = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
printf 'visit %s\\n' "$(timeout 20 redis-cli -h cache incr visits)"
PGCONNECT_TIMEOUT=20 psql -h db -U postgres -Atc 'select title from books order by title'
"""
_SCRIPT = f"""
mmdebstrap --quiet --variant=minbase \\
    --include=nginx-light,fcgiwrap,redis-server,redis-tools,postgresql,postgresql-client,iperf3,bind9-dnsutils \\
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/locale/* \\
    --dpkgopt=path-exclude=/usr/share/man/* bookworm $DIR/base.tar
c=$(B from scratch)
B add -q $c $DIR/base.tar /
B run $c -- sh -c 'rm -rf /var/lib/apt /var/cache/apt /var/lib/postgresql/*; ln -s /usr/lib/postgresql/*/bin /opt/pg'
cat > $DIR/page.sh <<'PAGE'
{_PAGE.strip()}
PAGE
cat > $DIR/nginx.conf <<'CONF'
daemon off;
error_log /dev/stderr;
events {{ worker_connections 64; }}
http {{ access_log /dev/stdout; server {{
    listen 80; listen [::]:80;
    location / {{ fastcgi_pass unix:/run/fcgi.sock; fastcgi_param SCRIPT_FILENAME /opt/page.sh;
                 fastcgi_param REQUEST_METHOD $request_method; }} }} }}
CONF
cat > $DIR/web.sh <<'RUN'
#!/bin/sh
rm -f /run/fcgi.sock
fcgiwrap -s unix:/run/fcgi.sock &
while [ ! -S /run/fcgi.sock ]; do sleep 0.1; done
chmod 666 /run/fcgi.sock
exec nginx
RUN
cat > $DIR/db.sh <<'RUN'
#!/bin/sh
set -e
mkdir -p /data /run/postgresql
chown postgres /data /run/postgresql
if [ ! -e /data/PG_VERSION ]; then
    setpriv --reuid postgres --regid postgres --clear-groups sh -ec '
        /opt/pg/initdb -D /data -A trust >/dev/null
        echo "host all all all trust" >> /data/pg_hba.conf
        /opt/pg/postgres --single -D /data postgres < /opt/books.sql >/dev/null'
fi
exec setpriv --reuid postgres --regid postgres --clear-groups /opt/pg/postgres -D /data -c "listen_addresses=*"
RUN
printf '%s\\n' "create table books (title text)" "insert into books values ('Moby Dick')" > $DIR/books.sql
chmod 755 $DIR/*.sh
B add -q $c $DIR/books.sql /opt/books.sql
B add -q $c $DIR/page.sh /opt/page.sh
B add -q $c $DIR/web.sh /opt/web.sh
B add -q $c $DIR/db.sh /opt/db.sh
B add -q $c $DIR/nginx.conf /etc/nginx/nginx.conf
B commit -q $c application
"""


def archive() -> Path:
    """Return the image's archive.

    `/opt/web.sh` serves a page, `/opt/db.sh` is postgresql with its data in /data, `redis-server` is there; and to look
    at networks `iperf3` and `dig`.
    """
    return images._archive("application", _SCRIPT)
