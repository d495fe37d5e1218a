// A GStreamer plugin with an encoder of the name of a hardware's (vaapih264enc), which is x264enc inside. The file that
// FAKE_ENCODER names says how it does: `works`, `hangs` (its first frame never comes out, and it cannot be stopped) or `dies`.
// Each time that one is made, a line is added to that file with `.made` behind its name.
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { GstBin bin; } Fake;
typedef struct { GstBinClass parent; } FakeClass;
G_DEFINE_TYPE(Fake, fake, GST_TYPE_BIN)

static void ignore(GObject *object, guint id, const GValue *value, GParamSpec *spec) {}

static void fake_class_init(FakeClass *class) {
    GObjectClass *object = G_OBJECT_CLASS(class);
    object->set_property = ignore;
    g_object_class_install_property(object, 1, g_param_spec_string("rate-control", "", "", NULL, G_PARAM_WRITABLE));
    const char *numbers[] = {"bitrate", "keyframe-period", "max-bframes"};
    for (int n = 0; n < 3; n++)
        g_object_class_install_property(object, 2 + n, g_param_spec_int(numbers[n], "", "", 0, G_MAXINT, 0, G_PARAM_WRITABLE));
    GstCaps *raw = gst_caps_from_string("video/x-raw, format=(string)I420"), *coded = gst_caps_from_string("video/x-h264");
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    gst_element_class_add_pad_template(element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, raw));
    gst_element_class_add_pad_template(element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, coded));
    gst_element_class_set_static_metadata(element, "Fake", "Codec/Encoder/Video", "x264enc by another name", "siaran's tests");
}

static void fake_init(Fake *fake) {
    const char *control = getenv("FAKE_ENCODER");
    char mode[16] = "", made[4096];
    FILE *file = control ? fopen(control, "r") : NULL;
    if (file) {
        if (!fgets(mode, sizeof mode, file)) mode[0] = 0;
        fclose(file);
        snprintf(made, sizeof made, "%s.made", control);
        file = fopen(made, "a");
        fprintf(file, "%s\n", mode);
        fclose(file);
    }
    GstElement *before = gst_element_factory_make("identity", NULL), *inside = gst_element_factory_make("x264enc", NULL);
    if (!strcmp(mode, "hangs")) g_object_set(before, "sleep-time", (guint)4000000000u, NULL);
    if (!strcmp(mode, "dies")) abort();
    gst_util_set_object_arg(G_OBJECT(inside), "tune", "zerolatency");
    gst_util_set_object_arg(G_OBJECT(inside), "speed-preset", "ultrafast");
    g_object_set(inside, "key-int-max", 30, "bframes", 0, NULL);
    gst_bin_add_many(GST_BIN(fake), before, inside, NULL);
    gst_element_link(before, inside);
    GstPad *in = gst_element_get_static_pad(before, "sink"), *out = gst_element_get_static_pad(inside, "src");
    gst_element_add_pad(GST_ELEMENT(fake), gst_ghost_pad_new("sink", in));
    gst_element_add_pad(GST_ELEMENT(fake), gst_ghost_pad_new("src", out));
    gst_object_unref(in);
    gst_object_unref(out);
}

static gboolean begin(GstPlugin *plugin) { return gst_element_register(plugin, "vaapih264enc", GST_RANK_NONE, fake_get_type()); }

#define PACKAGE "siaran"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, fakeencoder, "for tests", begin, "1", "MIT/X11", "siaran", "siaran")
