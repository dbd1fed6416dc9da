"""A Kombu consumer or producer for test_redis_kombu.c: kombu_peer.py URL VERB ARGUMENT..."""

import sys
import time

from kombu import Connection, Exchange, Queue


def open_channel(url, **options):
    connection = Connection(url, transport_options=options)
    return connection, connection.default_channel


def task(text):
    headers = {"lang": "py", "task": "test", "id": text, "retries": 0, "eta": None, "expires": None}
    return {"body": [[text], {}, {}], "headers": headers, "correlation_id": text}


def publish(url, queue, priority, *texts):
    """As Celery's client: the default exchange, a declared queue."""
    connection, channel = open_channel(url)
    declared = Queue(queue, Exchange(queue), routing_key=queue)
    with connection.Producer(channel, serializer="json") as producer:
        for text in texts:
            message = task(text)
            producer.publish(message.pop("body"), exchange="", routing_key=queue, declare=[declared],
                             priority=int(priority), **message)


def publish_topic(url, exchange, key, queue, text):
    """Through a named exchange, whose queues only the bindings tell."""
    connection, channel = open_channel(url)
    topic = Exchange(exchange, type="topic")
    Queue(queue, topic, routing_key="a.#", channel=channel).declare()
    with connection.Producer(channel, serializer="json") as producer:
        message = task(text)
        producer.publish(message.pop("body"), exchange=topic, routing_key=key, **message)


def take(url, queue, count, end):
    """Print what comes, then acknowledge it, die with it, or close with it."""
    connection, channel = open_channel(url)
    seen = []

    def on_message(message):
        seen.append(message)
        print(message.headers["id"], message.properties["delivery_info"].get("redelivered", False),
              message.headers.get("redelivered", False), flush=True)
        if end == "ack":
            message.ack()
        elif end == "requeue":
            message.requeue()

    declared = Queue(queue, Exchange(queue), routing_key=queue)
    channel.basic_qos(0, int(count), False)
    with connection.Consumer([declared], channel=channel, on_message=on_message):
        until = time.monotonic() + 10
        while len(seen) < int(count) and time.monotonic() < until:
            connection.drain_events(timeout=10)
    if end == "die":
        import os
        os._exit(0)
    channel.close()
    connection.close()


def restore(url, timeout):
    """What any Python worker does with messages older than its visibility timeout."""
    connection, channel = open_channel(url, visibility_timeout=float(timeout))
    channel.qos.restore_visible(num=None, interval=1)
    connection.close()


def size(url, queue):
    _, channel = open_channel(url)
    print(channel._size(queue), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[2]](sys.argv[1], *sys.argv[3:])
